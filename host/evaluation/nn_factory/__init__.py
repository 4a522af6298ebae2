"""The experiments of NN-Factory on this machine, and what they show."""

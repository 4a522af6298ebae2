"""The paper's experiments on this machine: what NN-Factory claims, and what is found here."""

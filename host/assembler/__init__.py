"""From a request (task, activation limit) to gates, with no training (NN-Factory, section 2.2)."""

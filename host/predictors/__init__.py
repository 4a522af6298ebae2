"""Latency and memory of a subnet from its open modules, learnt from a campaign's records; scikit-learn style."""

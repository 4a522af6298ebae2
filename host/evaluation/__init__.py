"""Experiments: the claims of papers, tested on this machine."""

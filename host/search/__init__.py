"""Searching for architectures: what makes one better than another."""

"""Removing parts of a trained network."""

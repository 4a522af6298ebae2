"""How far predictions can be trusted: held-out errors, noise floors, learning curves."""

"""The guests that a package from outside adds to Edgewright."""

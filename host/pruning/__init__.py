"""Taking parts of a trained network away."""

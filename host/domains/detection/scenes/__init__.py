"""Generated images of coloured digits."""

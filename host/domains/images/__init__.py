"""Tasks over the labels of a user's own images: yes or no, and which of several."""

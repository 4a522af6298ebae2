"""Reading, checking and splitting of images and digits; no task domain in it."""

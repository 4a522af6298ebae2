"""Reading, checking and splitting images and digits, without knowledge of task domains."""

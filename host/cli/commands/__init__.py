"""The commands, one file each: what is typed, and what is done about it."""

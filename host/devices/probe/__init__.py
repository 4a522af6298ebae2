"""What a device is, what state it is in, and what it lacks."""

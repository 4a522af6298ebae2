"""A Python with a runtime as one folder, for devices that have neither."""

"""A Python and a runtime in one folder, for devices that have neither."""

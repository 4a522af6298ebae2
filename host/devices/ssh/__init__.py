"""A device over SSH: configuration, host keys, login, files, streams."""

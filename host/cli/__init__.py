"""The command line. Every command writes text for people to stderr and, with --json, one object to stdout."""

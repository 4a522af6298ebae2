"""The command line. Every command: people's output on stderr, with --json one object on stdout."""

"""Contract tests for authors of plug-ins: subclass one in a test of your own, name the guest, and run pytest."""

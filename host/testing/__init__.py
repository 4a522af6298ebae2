"""Contract tests for authors of plug-ins: subclass one in a test of yours, name the guest, and run pytest."""

"""Our speed against what a user would run instead. Not shipped; run as `python -m benchmarks.NAME`."""

"""Putting the agent on a device, with a runtime if there is none, and removing it again."""

"""Putting the agent on a device, with a runtime where there is none, and taking it off again."""

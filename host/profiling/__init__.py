"""Campaigns: which subnets to measure on a device, measuring them, and the store that keeps every record."""

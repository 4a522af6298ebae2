"""How a device's speed changed while it measured, and latencies without that change."""

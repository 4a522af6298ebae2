"""The product as a library: a workspace, a device, a supernet and their measurements, opened once."""

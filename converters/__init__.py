"""Converts torch modules and supernets to files that a device runs. Knows tensors and files, but no devices."""

if __name__ == "converters":
    raise ImportError("import this package as 'edgewright.converters' (pip install -e . first), not as 'converters'")

"""From torch to what a device runs. Knows tensors and files, no devices."""

if __name__ == "converters":
    raise ImportError("import this package as 'edgewright.converters' (pip install -e . first), not as 'converters'")

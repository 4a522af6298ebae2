"""The desktop side of Edgewright: trains, assembles, deploys, profiles, predicts, searches, delivers."""

if __name__ == "host":
    raise ImportError("import this package as 'edgewright' (pip install -e . first), not as 'host'")

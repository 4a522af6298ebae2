"""`python -m edgewright.cli`: the same as `edgewright`."""

from .app import main

if __name__ == "__main__":
    main()

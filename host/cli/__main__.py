"""`python -m edgewright.cli`: the same as `edgewright`."""

from .main import main

if __name__ == "__main__":
    main()

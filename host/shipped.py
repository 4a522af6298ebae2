"""The supernet that comes with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

DEFAULT = "numvqa-resnet"


def shipped_supernet(name: str = DEFAULT) -> Path:
    """Its folder. The package is always installed as files, never as a zip."""
    return Path(str(resources.files("edgewright.host").joinpath("zoo", name)))

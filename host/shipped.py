"""The supernets that come with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

DEFAULT = "numvqa-resnet"


def shipped_supernet(name: str = DEFAULT) -> Path:
    """Its folder. The package is always installed as files, never as a zip."""
    return _zoo() / name


def shipped_supernets() -> dict[str, Path]:
    """Folders by name, the default one first."""
    names = sorted((path.name for path in _zoo().iterdir() if path.is_dir()), key=lambda name: (name != DEFAULT, name))
    return {name: shipped_supernet(name) for name in names}


def _zoo() -> Path:
    return Path(str(resources.files("edgewright.host").joinpath("zoo")))

"""The supernets that are shipped with the package."""

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


def find_supernet(named: Path | None) -> Path:
    """The folder a user means: the default one, a shipped one by its name, or any folder by its path."""
    if named is None:
        return shipped_supernet()
    shipped = shipped_supernets()
    return shipped[str(named)] if str(named) in shipped and not named.exists() else named


def _zoo() -> Path:
    return Path(str(resources.files("edgewright").joinpath("zoo")))

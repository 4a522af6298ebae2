"""The ways in which labelled images may lie on a disk: a protocol, and a file for each."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from .base import Layout, Listing
from .class_folders import ClassFolders
from .table import Table
from .torchvision_files import TorchvisionFiles

LAYOUTS: tuple[Layout, ...] = (TorchvisionFiles(), Table(), ClassFolders())
"""The first that fits is taken."""


def list_images(path: Path) -> Listing:
    """The images of a folder, or of a table, and their labels. Raises `InputError` for an unknown layout."""
    if not path.exists():
        raise InputError(f"there is no {path}; name a folder of labelled images, or a table")
    try:
        for layout in LAYOUTS:
            if layout.fits(path):
                return layout.list(path)
    except OSError as error:
        where = error.filename or path
        raise InputError(f"cannot read {where}: {error.strerror or error}; check the folder") from error
    raise InputError(f"no labelled images in {path}; expected {', or '.join(each.expected for each in LAYOUTS)}")

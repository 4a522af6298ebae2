"""Image files below a folder, none outside it."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from ..pictures import PictureError, UprightPicture, upright_picture
from .base import Stamp

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".avif"}
)  # fmt: skip
LEADS_OUT = "a link out of the folder"
_NOT_FILES = "not a file"


@dataclass(frozen=True)
class FilePictures:
    """Pictures that are files; their names are paths from `root` on, with slashes."""

    root: Path

    in_memory = False

    def stamp(self, name: str) -> Stamp:
        path = self.root / name
        try:
            state = os.stat(path)
        except OSError as error:
            raise PictureError(path, "not there", f"cannot be read: {error.strerror}; check the path") from error
        if not stat.S_ISREG(state.st_mode):
            raise PictureError(path, _NOT_FILES, "is no file")
        return state.st_size, state.st_mtime_ns

    def content(self, name: str) -> bytes:
        path = self.root / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise PictureError(path, "cannot be read", f"cannot be read: {error.strerror}; check the path") from error

    def picture(self, name: str, content: bytes, wanted: tuple[int, int]) -> UprightPicture:
        return upright_picture(self.root / name, content, wanted)


def is_hidden(name: str) -> bool:
    """Of the system or of another program: `.DS_Store`, `._photo.jpg`, `__MACOSX`."""
    return name.startswith(".") or name == "__MACOSX"


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; not hidden ones, and no links."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not is_hidden(e.name))


def linked_folders(root: Path, below: str) -> dict[str, str]:
    """Names of the links to folders in a folder, and why they are not followed."""
    with os.scandir(root / below) as entries:
        links = sorted(e.name for e in entries if e.is_symlink() and e.is_dir() and not is_hidden(e.name))
    names = [f"{below}/{name}" if below else name for name in links]
    return {name: _unusable(root, name, is_link=True) for name in names}


def loose_images(root: Path, below: str = "") -> list[str]:
    """Names of the image files that lie in a folder itself, in none of its folders."""
    names = sorted(each.name for each in (root / below).iterdir() if each.is_file() and not is_hidden(each.name))
    return [f"{below}/{name}" if below else name for name in names if is_image_name(name)]


def is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in ENDINGS


def image_files(root: Path, below: str, left_out: MutableMapping[str, str]) -> Iterator[str]:
    """Names of the image files in the folder `below` and its folders; what leads out of `root` is left out instead."""
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            name = f"{below}/{entry.name}" if below else entry.name
            if is_hidden(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from image_files(root, name, left_out)
                continue
            is_link = entry.is_symlink()
            if not (is_image_name(entry.name) or (is_link and entry.is_dir())):
                continue
            why = _unusable(root, name, is_link)
            if why:
                left_out[ascii(name)[1:-1] if why == _NAMELESS else name] = why
            else:
                yield name


_NAMELESS = "its name is no line of text"


def is_text(name: str) -> bool:
    """Whether a file's name is one line in UTF-8, as it should be, and as not every system checks."""
    return not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name)


def _unusable(root: Path, name: str, is_link: bool) -> str:
    """Why a file cannot be used, by its name and where it leads; empty when it can."""
    if not is_text(name):
        return _NAMELESS
    if not is_link:
        return ""
    if leads_out(root, name):
        return LEADS_OUT
    return "a link to a folder" if os.path.isdir(root / name) else ""


def leads_out(root: Path, name: str) -> bool:
    """Whether a name ends outside of `root`, by links or by `..`."""
    return not Path(os.path.realpath(root / name)).is_relative_to(os.path.realpath(root))

"""The files of torchvision's CIFAR-10, CIFAR-100, MNIST and FashionMNIST, unpacked as torchvision unpacks them.

CIFAR's files are pickles. They are loaded only after torchvision found all of them to have the MD5 sums that it knows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...errors import InputError
from ..labels import LabelGroup, as_label
from ..left_out import LeftOut
from ..pictures import UprightPicture
from .base import SPLITS, Listing, Stamp

_PARTS = ("train", "test")
_DAMAGE = (RuntimeError, OSError, ValueError, EOFError, KeyError, IndexError, AssertionError)  # what torchvision raises


@dataclass(frozen=True)
class _Kind:
    """A data set of torchvision, and the folder below its root that tells that it is there."""

    name: str
    folder: str


KINDS = (
    _Kind("CIFAR10", "cifar-10-batches-py"),
    _Kind("CIFAR100", "cifar-100-python"),
    _Kind("MNIST", "MNIST/raw"),
    _Kind("FashionMNIST", "FashionMNIST/raw"),
)


@dataclass(frozen=True)
class TorchvisionFiles:
    expected: str = "torchvision's files of CIFAR-10, CIFAR-100, MNIST or FashionMNIST"

    def fits(self, path: Path) -> bool:
        return _found(path) is not None

    def list(self, path: Path) -> Listing:
        root, kind = _known(path)
        parts = [_load(kind.name, root, part) for part in _PARTS]
        names = tuple(f"{name}/{row:05}" for name, part in zip(_PARTS, parts, strict=True) for row in range(len(part)))
        targets = np.concatenate([part.labels for part in parts])
        group = LabelGroup("class", parts[0].classes, exclusive=True)
        has = targets[:, None] == np.arange(len(group.labels))
        split = np.repeat([SPLITS.index(name) for name in _PARTS], [len(part) for part in parts]).astype(np.int8)
        order = np.array(sorted(range(len(names)), key=names.__getitem__))
        told = LeftOut(len(names), str(root))
        return Listing(root, ArrayPictures(kind.name, root), (group,), names, has, split, told).of(order)


@dataclass(frozen=True)
class ArrayPictures:
    """Pictures that are rows of arrays; a name is such as `train/00012`."""

    kind: str
    root: Path

    in_memory = True

    def stamp(self, name: str) -> Stamp:
        content = self.content(name)
        return len(content), zlib.crc32(content)

    def content(self, name: str) -> bytes:
        return self._pixels(name).tobytes()

    def picture(self, name: str, content: bytes, wanted: tuple[int, int]) -> UprightPicture:
        image = Image.fromarray(self._pixels(name)).convert("RGB")
        return UprightPicture(image, image.size)

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        part, row = name.split("/")
        return _load(self.kind, self.root, part).pixels[int(row)]


@dataclass(frozen=True, eq=False)
class _Part:
    """Pixels `(n, H, W)` or `(n, H, W, C)`, labels `(n,)` and their names."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)


def _found(path: Path) -> tuple[Path, _Kind] | None:
    """Torchvision's root folder and what is in it; `path` may also be the data set's own folder."""
    for kind in KINDS:
        depth = kind.folder.count("/") + 1
        if (path / kind.folder).is_dir():
            return path, kind
        if path.is_dir() and path.resolve().parts[-depth:] == Path(kind.folder).parts:
            return path.resolve().parents[depth - 1], kind
    return None


def _known(path: Path) -> tuple[Path, _Kind]:
    found = _found(path)
    if found is None:
        raise InputError(f"none of torchvision's files in {path}")
    return found


@lru_cache(maxsize=4)
def _load(kind: str, root: Path, part: str) -> _Part:
    import torchvision.datasets

    make: Callable[..., Any] = getattr(torchvision.datasets, kind)
    try:
        data = make(str(root), train=part == "train", download=False)
    except _DAMAGE as error:
        raise InputError(
            f"the files of {kind} in {root} are not as torchvision knows them, some may be missing or changed; "
            "download and unpack them again"
        ) from error
    classes = tuple(_label(name) for name in data.classes)
    return _Part(np.asarray(data.data, np.uint8), np.asarray(data.targets, np.int64), classes)


def _label(name: str) -> str:
    """ "0 - zero" is zero, "T-shirt/top" is T-shirt top, aquarium_fish is aquarium fish."""
    return as_label(name.split(" - ")[-1].replace("/", " ").replace("_", " "))

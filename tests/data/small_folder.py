"""Small folders of labelled images: real handwritten digits, and generated pictures, each drawn from its own seed."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from edgewright.data.digits import DigitSplits, load_digits
from PIL import Image, ImageDraw

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHAPES = ("disc", "square", "cross")
COLOURS = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 210)}


def drawn(shape: str, colour: str, seed: int, side: int = 48) -> Image.Image:
    """One shape in one colour at a random place, on a patchwork of greys."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(60, 200, (6, 6), dtype=np.uint8)
    image = Image.fromarray(patches).resize((side, side), Image.Resampling.BICUBIC).convert("RGB")
    r = int(rng.integers(side // 6, side // 3))
    x, y = (int(each) for each in rng.integers(r, side - r, 2))
    draw, fill = ImageDraw.Draw(image), COLOURS[colour]
    if shape == "disc":
        draw.ellipse((x - r, y - r, x + r, y + r), fill)
    elif shape == "square":
        draw.rectangle((x - r, y - r, x + r, y + r), fill)
    else:
        draw.line((x - r, y, x + r, y), fill, r // 2)
        draw.line((x, y - r, x, y + r), fill, r // 2)
    return image


def write_digits(folder: Path, classes: Sequence[str] = DIGITS[:3], n: int = 20, splits: bool = False) -> Path:
    """`n` images of each digit, in a folder per class; with `splits` also as many each in `validation` and `test`."""
    data = _digits()
    parts = {"train": data.train, "validation": data.validation, "test": data.test} if splits else {"": data.train}
    for split, digits in parts.items():
        for name in classes:
            for number, row in enumerate(digits.of_class()[DIGITS.index(name)][:n]):
                save(Image.fromarray(digits.images[row]), folder / split / name / f"{number:03}.png")
    return folder


def write_shapes(folder: Path, n: int = 12, shapes: Sequence[str] = SHAPES, side: int = 48) -> Path:
    """`n` images of each shape, in all colours in turn, in a folder per shape."""
    for shape, colour, number in _all(shapes, n):
        save(drawn(shape, colour, _seed(shape, number), side), folder / shape / f"{number:03}.png")
    return folder


def write_table(folder: Path, n: int = 12, shapes: Sequence[str] = SHAPES, side: int = 48) -> Path:
    """The same images in one folder, and `labels.csv`: shape, colour, and whether it is bright (yes or no)."""
    rows = []
    for shape, colour, number in _all(shapes, n):
        name = f"pictures/{shape}-{number:03}.png"
        image = drawn(shape, colour, _seed(shape, number), side)
        save(image, folder / name)
        rows.append([name, shape, colour, "yes" if np.asarray(image).mean() > 125 else "no"])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["file", "shape", "colour", "bright"], *rows])
    return folder


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@cache
def _digits() -> DigitSplits:
    return load_digits()


def _all(shapes: Sequence[str], n: int) -> Iterator[tuple[str, str, int]]:
    return ((shape, list(COLOURS)[number % len(COLOURS)], number) for shape in shapes for number in range(n))


def _seed(shape: str, number: int) -> int:
    return SHAPES.index(shape) * 10_000 + number

"""A contact sheet: pictures side by side, each over a line of text."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..data.pictures import read_picture
from ..files import write_atomic

TILE, LINE, MARGIN = 160, 22, 8
"""Pixels: a picture's longer side, a line of text, and what is between."""

MAX_COLUMNS = 8
_TEXT_SIZE = 14


def write_sheet(path: Path, captioned: Sequence[tuple[Path, str]]) -> None:
    """Write the pictures and their captions as a PNG file.

    Raises `InputError` for a picture that cannot be read, and `StorageError`.
    """
    columns = min(MAX_COLUMNS, math.ceil(math.sqrt(len(captioned))))
    rows = math.ceil(len(captioned) / columns)
    wide, high = TILE + MARGIN, TILE + LINE + MARGIN
    sheet = Image.new("RGB", (columns * wide + MARGIN, rows * high + MARGIN), "white")
    for index, (picture, caption) in enumerate(captioned):
        corner = MARGIN + index % columns * wide, MARGIN + index // columns * high
        _paste(sheet, corner, Image.fromarray(read_picture(picture)), caption)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_atomic(path, content.getvalue())


def _paste(sheet: Image.Image, corner: tuple[int, int], picture: Image.Image, caption: str) -> None:
    left, top = corner
    sheet.paste(ImageOps.pad(picture, (TILE, TILE), color="white"), corner)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_SIZE)
    draw.text((left, top + TILE + 2), _shortened(draw, caption, font), fill="black", font=font)


def _shortened(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, its middle left out until it is no wider than a picture."""
    kept = text
    while draw.textlength(kept, font=font) > TILE and len(text) > 2:
        middle = len(text) // 2
        text = text[:middle] + text[middle + 1 :]
        kept = f"{text[: len(text) // 2]}…{text[len(text) // 2 :]}"
    return kept

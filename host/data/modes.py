"""Every kind of pixels as 8-bit RGB: greys, palettes, CMYK, 16 bit, and transparency over white."""

from __future__ import annotations

import numpy as np
from PIL import Image

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_MAX_16 = 65535


def as_rgb(image: Image.Image) -> Image.Image:
    """A decoded picture of any mode as RGB. Raises `ValueError` for numbers without a known white, such as floats."""
    if image.mode == "RGB":
        return image
    if image.mode in _SIXTEEN_BIT:
        return _from_16_bit(image)
    if image.mode == "F":
        raise ValueError("its pixels are fractions, of which nobody knows what is white")
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scaled: 65,535 is white. Pillow would clip, so that all above 255 was."""
    values = np.asarray(image, np.int64)  # (H, W)
    if values.min() < 0 or values.max() > _MAX_16:
        raise ValueError(f"its pixels are numbers from {values.min()} to {values.max()}, not from 0 to {_MAX_16}")
    return Image.fromarray(np.round(values * 255 / _MAX_16).astype(np.uint8)).convert("RGB")

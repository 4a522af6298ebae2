"""Which of the five colour groups an object has, told from its pixels.

Pixels are taken to CIELAB (ISO/CIE 11664-4) by way of IEC 61966-2-1 (sRGB, white D65) and read in its polar form: L
lightness 0 to 100, C chroma, h hue in degrees. Dark pixels and those of low chroma are white or charcoal, the others go
by hue; hues from green-blue to purple are in no group.

Every border lies halfway between two named colours of CSS Color 4 (section 6.1) that a person would tell apart there:

| border | between | value |
|---|---|---|
| charcoal, white: L | gray 53.6, white 100 | 77 |
| charcoal, any: L | black 0, maroon 25.5 (the darkest of the named reds) | 13 |
| white or charcoal, any: C | beige 12.8, cornsilk 14.5 | 13.6 |
| none, crimson: h | magenta 328, mediumvioletred 348 | 338 |
| crimson, bronze: h | orangered 45.5, sienna 50.6 | 48 |
| bronze, lime: h | yellow 102.9, olivedrab 119.6 | 111 |
| lime, none: h | mediumspringgreen 155.3, mediumaquamarine 167.8 | 162 |

Shapes: `H W` of an object's crop, `n` pixels, `G` = 6 groups, the last of them "none".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..attrod import COLOURS

WHITE_LIGHTNESS = 77.0
DARK_LIGHTNESS = 13.0
GREY_CHROMA = 13.6
HUE_BORDERS = (48.0, 111.0, 162.0, 338.0)
_HUE_GROUPS = ("crimson", "bronze", "lime", None, "crimson")  # between the borders, from 0 to 360 degrees

_SRGB_TO_XYZ = np.array(  # IEC 61966-2-1, linear sRGB with white D65
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_D65 = _SRGB_TO_XYZ.sum(1)  # the white that R = G = B = 1 gives
_EPSILON = 6 / 29  # below its cube CIELAB's cube root is a straight line


def srgb_to_lab(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Pixels `(..., 3)`, uint8 or floats in [0, 1], to L, a, b `(..., 3)`."""
    values = np.asarray(pixels)
    encoded = values / 255.0 if values.dtype == np.uint8 else values.astype(np.float64)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _SRGB_TO_XYZ.T / _D65
    f = np.where(ratio > _EPSILON**3, np.cbrt(ratio), ratio / (3 * _EPSILON**2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def lab_to_srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """L, a, b `(..., 3)` to sRGB `(..., 3)` in [0, 1]; what no screen can show is clipped, as screens do."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    ratio = np.where(f > _EPSILON, f**3, 3 * _EPSILON**2 * (f - 4 / 29))
    linear = np.clip(ratio * _D65 @ np.linalg.inv(_SRGB_TO_XYZ).T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def polar_to_lab(lightness: float, chroma: float, hue: float) -> NDArray[np.float64]:
    """L, C and h in degrees to L, a, b `(3,)`."""
    return np.array([lightness, chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))])


def group_of(pixels: NDArray[Any]) -> NDArray[np.int64]:
    """The group of every pixel `(..., 3)` as an index into `COLOURS`, `len(COLOURS)` for none: `(...)`."""
    lightness, a, b = np.moveaxis(srgb_to_lab(pixels), -1, 0)
    by_hue = np.array([_index(name) for name in _HUE_GROUPS])
    groups = by_hue[np.digitize(np.degrees(np.arctan2(b, a)) % 360, HUE_BORDERS)]
    grey = (np.hypot(a, b) < GREY_CHROMA) | (lightness < DARK_LIGHTNESS)
    return np.where(grey, np.where(lightness < WHITE_LIGHTNESS, _index("charcoal"), _index("white")), groups)


def _index(name: str | None) -> int:
    return COLOURS.index(name) if name else len(COLOURS)


class ColourAnnotator(Protocol):
    """Says which colour group an object has."""

    @property
    def name(self) -> str:
        """Name and version. Objects annotated under another name are annotated again."""
        ...

    def colour_of(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_], category: str) -> str | None:
        """The colour of the object in a crop `(H, W, 3)`, where `mask` `(H, W)` is true; None for no clear one."""
        ...


@dataclass(frozen=True)
class PixelColours:
    """The group of most of the object's pixels, if they are `min_share` of all and `min_lead` times the runner-up's.

    "None" is a group among the others: an object that is mostly blue has no colour. Pixels at the edge of the mask,
    where object and background mix, are left out while at least `min_core` of the pixels stay.
    """

    min_share: float = 0.4
    min_lead: float = 1.3
    min_core: float = 0.25
    max_pixels: int = 20_000

    @property
    def name(self) -> str:
        return f"pixels-1-{self.min_share:g}-{self.min_lead:g}-{self.min_core:g}-{self.max_pixels}"

    def colour_of(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_], category: str) -> str | None:
        shares = self.shares(pixels, mask)
        second, first = np.argsort(shares)[-2:]
        clear = shares[first] >= self.min_share and shares[first] >= self.min_lead * shares[second]
        return COLOURS[first] if clear and first < len(COLOURS) else None

    def shares(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The share of the object's pixels in every group: `(G,)`, summing to one, or all zero for an empty mask."""
        chosen = pixels[self._core(mask)]  # (n, 3)
        chosen = chosen[:: max(1, -(-len(chosen) // self.max_pixels))]
        counts = np.bincount(group_of(chosen).ravel(), minlength=len(COLOURS) + 1)
        return counts / max(1, len(chosen))

    def _core(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        padded = np.pad(mask, 1)
        core = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        return core if core.sum() >= self.min_core * mask.sum() else mask

"""Scenes of coloured handwritten digits: position, colour and visible pixels of each.

Shapes: images of `S` pixels a side; a digit's patch is `(h, w)`; `n` objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....data.digits import N_CLASSES, Digits
from ....errors import InputError
from ..attrod import COLOURS, DIGIT_CATEGORIES
from ..colours.pixels import lab_to_srgb, polar_to_lab, srgb_to_lab
from .textures import background, noise

CATEGORIES = tuple(f"digit-{number}" for number in range(N_CLASSES))

_N_OBJECTS = (0.08, 0.2, 0.24, 0.2, 0.16, 0.12)  # how often a scene is to have 0 to 5
_MIN_HEIGHT, _MAX_HEIGHT = 0.18, 0.5  # of a digit, in sides of the image, before it is turned
_MAX_TURN = 25.0  # degrees; a 6 must not become a 9
_MIN_INSIDE = 0.8  # of a digit's ink lies within the image
_MIN_VISIBLE = 0.45  # of what lies within is not hidden by later digits
_MIN_CONTRAST = 25.0  # mean distance in CIELAB between a digit and what is behind it; about 2 can just be noticed
_OVERLAP_SHARE = 0.35  # of the digits are laid near another on purpose
_MAX_TRIES = 12
_CROWD_SIZE = (8, 15)
_INK = 40  # grey levels below it are paper

# Lightness, chroma and hue of each colour, well within the group's borders of `colours`.
_RANGES: dict[str | None, tuple[tuple[float, float], ...]] = {
    "white": ((86, 98), (0, 7), (0, 360)),
    "bronze": ((38, 78), (38, 70), (57, 96)),
    "charcoal": ((10, 50), (0, 7), (0, 360)),
    "crimson": ((32, 58), (48, 78), (0, 38)),
    "lime": ((45, 88), (45, 88), (120, 150)),
    None: ((32, 70), (35, 60), (235, 308)),  # blue and violet
}


@dataclass(frozen=True)
class Frequencies:
    """How often the digits and the colours occur; independent of each other, each summing to one."""

    digits: tuple[float, ...]
    colours: tuple[float, ...]  # of `COLOURS`, then of none

    def __post_init__(self) -> None:
        for name, shares, n in (("digits", self.digits, N_CLASSES), ("colours", self.colours, len(COLOURS) + 1)):
            if len(shares) != n or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
                raise InputError(f"frequencies of {name} must be {n} shares that sum to one, got {shares}")


def _of_digits(wanted: tuple[float, ...]) -> tuple[float, ...]:
    """The shares of the digits that tasks ask for; what is left goes to the others alike."""
    shares = dict(zip(DIGIT_CATEGORIES, wanted, strict=True))
    rest = (1 - sum(wanted)) / (N_CLASSES - len(wanted))
    return tuple(shares.get(name, rest) for name in CATEGORIES)


NATURAL = Frequencies(_of_digits((0.36, 0.2, 0.1, 0.05)), (0.24, 0.12, 0.3, 0.16, 0.08, 0.1))
"""Uneven, as in COCO, where one of the four categories has thirty times the objects of another."""
EVEN = Frequencies(_of_digits((0.18, 0.18, 0.18, 0.18)), (0.18, 0.18, 0.18, 0.18, 0.18, 0.1))
"""Every category and colour that tasks ask for equally often: as many objects for one task as for another like it."""


@dataclass(frozen=True)
class SceneObject:
    """A digit and its colour, None for one in no group; `mask` `(S, S)` is true where it can be seen."""

    category: str
    colour: str | None
    mask: NDArray[np.bool_]
    crowd: bool = False


@dataclass(frozen=True)
class Scene:
    """An image `(S, S, 3)` uint8 and what is on it."""

    pixels: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]


@dataclass(frozen=True)
class _Placed:
    """A digit's opacity `(h, w)` on a window of the image; `solid` is true where it is more opaque than not."""

    window: tuple[slice, slice]
    alpha: NDArray[np.float64]
    centre: NDArray[np.float64]  # x, y
    height: float

    @property
    def solid(self) -> NDArray[np.bool_]:
        return self.alpha > 0.5


@dataclass
class _Canvas:
    """A scene in the making: pixels `(S, S, 3)`, and per pixel the digit seen there, -1 for none."""

    pixels: NDArray[np.float64]
    seen: NDArray[np.int64] = field(init=False)
    kinds: list[tuple[str, str | None]] = field(default_factory=list)
    placed: list[_Placed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.seen = np.full(self.pixels.shape[:2], -1, np.int64)

    def hides_too_much(self, new: _Placed) -> bool:
        """Whether a new digit would leave too little of one that is there."""
        seen = self.seen.copy()
        seen[new.window][new.solid] = -1
        left = np.bincount(seen[seen >= 0], minlength=len(self.placed))
        return any(left[index] < _MIN_VISIBLE * old.solid.sum() for index, old in enumerate(self.placed))

    def draw(self, new: _Placed, paint: NDArray[np.float64]) -> None:
        """Blend `paint` `(h, w, 3)` into the window."""
        behind = self.pixels[new.window]
        self.pixels[new.window] = behind + new.alpha[..., None] * (paint - behind)

    def add(self, new: _Placed, category: str, colour: str | None) -> None:
        self.seen[new.window][new.solid] = len(self.placed)
        self.placed.append(new)
        self.kinds.append((category, colour))

    def objects(self) -> tuple[SceneObject, ...]:
        return tuple(SceneObject(*kind, self.seen == index) for index, kind in enumerate(self.kinds))


def draw_scene(
    digits: Digits, side: int, frequencies: Frequencies, rng: np.random.Generator, crowd_share: float = 0.0
) -> Scene:
    """A scene with up to five digits, some partly hidden; with probability `crowd_share` a crowd of small ones too."""
    canvas = _Canvas(background(side, rng))
    crowd = _draw_crowd(canvas, digits, frequencies, rng) if rng.random() < crowd_share else None
    for _ in range(rng.choice(len(_N_OBJECTS), p=_N_OBJECTS)):
        _add_digit(canvas, digits, frequencies, rng)
    grain = rng.normal(0.0, rng.uniform(0.0, 0.02), canvas.pixels.shape)
    pixels = np.clip((canvas.pixels + grain) * 255, 0, 255).round().astype(np.uint8)
    objects = canvas.objects()
    if crowd is not None:
        objects = (*objects, replace(crowd, mask=crowd.mask & (canvas.seen < 0)))
    return Scene(pixels, tuple(each for each in objects if each.mask.any()))


def _add_digit(canvas: _Canvas, digits: Digits, frequencies: Frequencies, rng: np.random.Generator) -> None:
    """Lay one more digit where it hides none too much and can be told from what is behind it, if there is room."""
    number = int(rng.choice(N_CLASSES, p=frequencies.digits))
    colour = _colour(frequencies, rng)
    side = len(canvas.pixels)
    height = side * float(np.exp(rng.uniform(np.log(_MIN_HEIGHT), np.log(_MAX_HEIGHT))))
    patch = _patch(_example(digits, number, rng), height, rng)
    for _ in range(_MAX_TRIES):
        placed = _place(patch, height, _centre(canvas, height, rng), side)
        if placed is None or canvas.hides_too_much(placed):
            continue
        paint = _paint(colour, placed.alpha.shape, rng)
        if _contrast(canvas.pixels[placed.window], paint, placed.solid) >= _MIN_CONTRAST:
            canvas.draw(placed, paint)
            canvas.add(placed, CATEGORIES[number], colour)
            return


def _draw_crowd(
    canvas: _Canvas, digits: Digits, frequencies: Frequencies, rng: np.random.Generator
) -> SceneObject | None:
    """Many small digits of one kind in one place, too many to tell apart: one region, no object."""
    side = len(canvas.pixels)
    number, middle = int(rng.choice(N_CLASSES, p=frequencies.digits)), rng.uniform(0.2, 0.8, 2) * side
    mask = np.zeros(canvas.seen.shape, bool)
    for _ in range(rng.integers(*_CROWD_SIZE)):
        height = side * rng.uniform(0.09, 0.13)
        patch = _patch(_example(digits, number, rng), height, rng)
        placed = _place(patch, height, middle + rng.uniform(-0.15, 0.15, 2) * side, side)
        if placed is not None:
            canvas.draw(placed, _paint(_colour(frequencies, rng), placed.alpha.shape, rng))
            mask[placed.window] |= placed.solid
    return SceneObject(CATEGORIES[number], None, mask, crowd=True)


def _colour(frequencies: Frequencies, rng: np.random.Generator) -> str | None:
    return (*COLOURS, None)[rng.choice(len(COLOURS) + 1, p=frequencies.colours)]


def _example(digits: Digits, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The ink of some handwritten example, cut out: at most `(28, 28)`."""
    image = digits.images[rng.choice(np.flatnonzero(digits.labels == number))]
    rows, columns = (np.flatnonzero(image.max(axis) > _INK) for axis in (1, 0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _patch(ink: NDArray[np.uint8], height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """The opacity of a digit drawn `height` pixels high, then sheared, stretched and turned: `(h, w)`."""
    scale, shear = height / len(ink), rng.uniform(-0.2, 0.2)
    turn = np.radians(rng.uniform(-_MAX_TURN, _MAX_TURN))
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    onto = turned @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([scale * rng.uniform(0.85, 1.2), scale])
    padded = np.pad(ink, 2)
    middle = np.array(padded.shape[::-1]) / 2  # x, y
    size = np.ceil(2 * np.abs(onto) @ middle).astype(int)  # width, height of the patch
    back = np.linalg.inv(onto)
    affine = np.column_stack([back, middle - back @ (size / 2)])  # (2, 3): from the patch's x, y to the ink's
    drawn = Image.fromarray(padded).transform(
        (int(size[0]), int(size[1])), Image.Transform.AFFINE, tuple(affine.ravel()), Image.Resampling.BICUBIC
    )
    edge = rng.uniform(0.3, 0.5)  # the grey level that becomes the edge: thick strokes and thin ones
    steepness = max(0.5 / edge, scale)  # at least such that paper is clear, or a digit would show its patch
    return np.clip((np.asarray(drawn) / 255 - edge) * steepness + 0.5, 0.0, 1.0)


def _centre(canvas: _Canvas, height: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Where a digit's middle goes, x and y: anywhere, or near a digit that is there."""
    if canvas.placed and rng.random() < _OVERLAP_SHARE:
        other = canvas.placed[rng.integers(len(canvas.placed))]
        return other.centre + rng.uniform(-0.4, 0.4, 2) * (other.height + height) / 2
    return rng.uniform(0, len(canvas.pixels), 2)


def _place(patch: NDArray[np.float64], height: float, centre: NDArray[np.float64], side: int) -> _Placed | None:
    """The part of the patch that lies within the image, or None if too much of it would not."""
    top, left = (round(middle - length / 2) for middle, length in zip(centre[::-1], patch.shape, strict=True))
    inside = patch[max(0, -top) : max(0, side - top), max(0, -left) : max(0, side - left)]
    if (inside > 0.5).sum() < _MIN_INSIDE * (patch > 0.5).sum():
        return None
    first_row, first_column = max(0, top), max(0, left)
    rows = slice(first_row, first_row + inside.shape[0])
    columns = slice(first_column, first_column + inside.shape[1])
    return _Placed((rows, columns), inside, centre, height)


def _paint(colour: str | None, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """A colour of the group, unevenly lit: `(h, w, 3)`."""
    height, width = shape
    lab = np.tile(polar_to_lab(*(rng.uniform(*span) for span in _RANGES[colour])), (height, width, 1))
    lab[..., 0] += rng.uniform(0.0, 5.0) * (noise((height, width), rng) - 0.5) * 2
    return lab_to_srgb(lab)


def _contrast(behind: NDArray[np.float64], paint: NDArray[np.float64], solid: NDArray[np.bool_]) -> float:
    """The mean distance in CIELAB (CIE 1976) between a digit and what is behind it; 0 where there is nothing of it."""
    if not solid.any():
        return 0.0
    difference = srgb_to_lab(behind[solid]) - srgb_to_lab(paint[solid])
    return float(np.linalg.norm(difference, axis=-1).mean())

"""Backgrounds for generated images: noise at several scales, gradients, stripes, checks, and shapes strewn over them.

They hold all the colours that objects have, so that colour alone finds no object.

Shapes: square images of `S` pixels a side, `(S, S)` or `(S, S, 3)`; fields `(H, W)`; values in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..colours.pixels import lab_to_srgb, polar_to_lab

Field = NDArray[np.float64]

_MAX_SHAPES = 6
_SHAPE_SCALE = 2  # shapes are drawn this much larger and averaged, for soft edges


def background(side: int, rng: np.random.Generator) -> Field:
    """A textured picture `(S, S, 3)` with strewn shapes."""
    pattern = (_noise_pattern, _gradient, _stripes, _checks)[rng.integers(4)]
    blend = pattern(side, rng)[..., None]  # (S, S, 1)
    first, second = _ground_colour(rng), _ground_colour(rng)
    lab = first + (second - first) * blend
    lab[..., 0] += rng.uniform(2.0, 12.0) * (noise((side, side), rng) - 0.5) * 2
    canvas = lab_to_srgb(lab)
    for _ in range(rng.integers(_MAX_SHAPES + 1)):
        _strew(canvas, rng)
    return canvas


def noise(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Smooth noise `(H, W)` from 0 to 1 of a few scales, each half as strong as the one twice as coarse."""
    field = np.zeros(shape)
    coarsest = int(rng.integers(2, 6))
    for octave in range(4):
        cells = coarsest * 2**octave
        grid = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        field += np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC), np.float64) / 2**octave
    return _stretched(field)


def _noise_pattern(side: int, rng: np.random.Generator) -> Field:
    sharpness = rng.uniform(1.0, 4.0)  # from clouds to patches
    return np.clip((noise((side, side), rng) - 0.5) * sharpness + 0.5, 0.0, 1.0)


def _gradient(side: int, rng: np.random.Generator) -> Field:
    return _stretched(_along(side, rng) + 0.3 * noise((side, side), rng))


def _stripes(side: int, rng: np.random.Generator) -> Field:
    period = rng.uniform(0.06, 0.4)
    wave = np.sin(2 * np.pi * (_along(side, rng) + 0.1 * noise((side, side), rng)) / period)
    return np.clip(wave * rng.uniform(1.0, 4.0) / 2 + 0.5, 0.0, 1.0)


def _checks(side: int, rng: np.random.Generator) -> Field:
    period, angle = rng.uniform(0.15, 0.5), rng.uniform(0, np.pi / 2)
    across, down = (_along(side, rng, angle + turn) for turn in (0.0, np.pi / 2))
    wave = np.sin(2 * np.pi * across / period) * np.sin(2 * np.pi * down / period)
    return np.clip(wave * rng.uniform(1.0, 6.0) / 2 + 0.5, 0.0, 1.0)


def _along(side: int, rng: np.random.Generator, angle: float | None = None) -> Field:
    """How far every pixel lies in a direction, in sides of the image."""
    turn = rng.uniform(0, 2 * np.pi) if angle is None else angle
    y, x = np.mgrid[:side, :side] / side
    return x * np.cos(turn) + y * np.sin(turn)


def _stretched(field: Field) -> Field:
    low, high = field.min(), field.max()
    return (field - low) / max(high - low, 1e-9)


def _ground_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """Any lightness and hue; mostly muted, as walls, fields and streets are."""
    return polar_to_lab(rng.uniform(12, 98), 60 * rng.beta(1.2, 2.0), rng.uniform(0, 360))


def _strew(canvas: Field, rng: np.random.Generator) -> None:
    """Paint one shape of a strong colour onto `canvas`: a disc, a box, or a bent stroke as of a pen."""
    side = canvas.shape[0]
    large = side * _SHAPE_SCALE
    stencil = Image.new("L", (large, large))
    draw = ImageDraw.Draw(stencil)
    (x, y), (w, h) = rng.uniform(0, large, 2), rng.uniform(0.04, 0.3, 2) * large
    kind = rng.integers(3)
    if kind == 0:
        draw.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=255)
    elif kind == 1:
        draw.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=255)
    else:
        points = np.array([x, y]) + rng.uniform(-0.15, 0.15, (4, 2)) * large
        draw.line([(float(px), float(py)) for px, py in points], fill=255, width=round(large * rng.uniform(0.01, 0.04)))
    alpha = np.asarray(stencil.resize((side, side), Image.Resampling.BOX), np.float64)[..., None] / 255
    strength = rng.uniform(0.7, 1.0)
    colour = lab_to_srgb(polar_to_lab(rng.uniform(10, 95), 90 * rng.beta(1.5, 1.5), rng.uniform(0, 360)))
    canvas += alpha * strength * (colour - canvas)

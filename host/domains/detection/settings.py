"""Attributed detection's `[domain]` table in a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectionSettings:
    """What is detected, and how training images are varied.

    Attributes:
        categories: what detection is about; without any, those of the data.
        augmentation: whether images are zoomed, shifted and unevenly exposed.
        mirror: whether half of the images are mirrored, as suits photographs.
    """

    categories: tuple[str, ...] = ()
    augmentation: bool = True
    mirror: bool = False

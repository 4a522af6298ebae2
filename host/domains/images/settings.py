"""The `[domain]` table of a recipe for a user's own images."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError


@dataclass(frozen=True)
class ImageSettings:
    """How training images are varied, and tasks are drawn.

    Attributes:
        which_share: the share of samples that ask which of some labels it is; the others ask yes or no. Where the
            labels allow only one of the two, all samples ask that.
        mirror: whether images are mirrored at random, left to right.
        shift: images are shifted at random by at most this share of their side.
        least_area: images are cut at random to at least this share of their area and enlarged again; 1 is never.
        erase: the share of images of which a random rectangle is blotted out.
        label_smoothing: of the losses.
    """

    which_share: float = 0.5
    mirror: bool = True
    shift: float = 0.125
    least_area: float = 1.0
    erase: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("which_share", "erase", "label_smoothing"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"`{name}` must lie in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.shift <= 0.5:
            raise InputError(f"`shift` must lie in [0, 0.5], got {self.shift}")
        if not 0 < self.least_area <= 1:
            raise InputError(f"`least_area` must lie in (0, 1], got {self.least_area}")

"""NumVQA's `[domain]` table in a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError


@dataclass(frozen=True)
class NumVqaSettings:
    """How training images are composed.

    Attributes:
        even_counts_share: the share of samples for which the count of requested digits is drawn evenly, instead of
            following from digits drawn by chance.
        augmentation: whether each digit is turned, scaled, sheared, shifted and warped.
    """

    even_counts_share: float = 0.5
    augmentation: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.even_counts_share <= 1:
            raise InputError(f"`even_counts_share` must lie in [0, 1], got {self.even_counts_share}")

"""Files of a data set that cannot be used: counted, reported in one sentence, and an error if there are too many."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import InputError

MAX_SHARE = 0.1
"""A tenth of a data set may be damaged; more means that something else is wrong, such as a download cut short."""

_NAMED = 3


@dataclass
class LeftOut:
    """Which of `n_files` files in `where` were left out, and why."""

    n_files: int
    where: str
    max_share: float = MAX_SHARE
    reasons: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.reasons)

    def add(self, name: str, reason: str) -> None:
        self.reasons[name] = reason

    def check(self) -> None:
        """Raises `InputError` when more than `max_share` of the files are left out."""
        if len(self) > self.max_share * self.n_files:
            raise InputError(f"{self.sentence()}; that is more than {self.max_share:.0%}: complete the folder first")

    def sentence(self) -> str:
        """Such as "2 of 40 images of DIR are left out: a.png (not there), b.png (cannot be read)"."""
        named = ", ".join(f"{name} ({reason})" for name, reason in list(self.reasons.items())[:_NAMED])
        more = f" and {len(self) - _NAMED} more" if len(self) > _NAMED else ""
        verb = "is" if len(self) == 1 else "are"
        return f"{len(self)} of {self.n_files} images of {self.where} {verb} left out: {named}{more}"

"""What a running campaign reports, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

from .records import Record


class CampaignInterrupted(KeyboardInterrupt):
    """Ctrl-C during a campaign. The message says what is stored and how to resume."""


@dataclass(frozen=True)
class Progress:
    """The progress of a campaign after one try. `last` is stored unless it failed and will be tried again."""

    done: int
    total: int
    rate_per_s: float
    eta_s: float
    last: Record


@dataclass(frozen=True)
class CampaignSummary:
    """A finished campaign; `n_measured` of its `total` records were made by this run, `n_failed` hold an error,
    `n_unsteady` were disturbed each time they were measured.

    `overhead_ms` is the median over this run of what host and agent added per measurement, storing included; None when
    nothing was measured or the agent gave no child times.
    """

    total: int
    n_measured: int
    n_failed: int
    wall_s: float
    overhead_ms: float | None
    n_unsteady: int = 0

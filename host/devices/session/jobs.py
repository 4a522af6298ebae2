"""What an agent is asked to measure, and what a campaign returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...errors import InputError


@dataclass(frozen=True)
class MeasureJob:
    """What to measure or run: a pushed model, or a pushed template with packed gates. Names are sha256.

    To be measured, a model may be called by another `signature` than its first, on other `shapes` of its inputs by name
    than it declares, and its operators may be told apart (`per_op`). To be run it is called as it is.
    """

    model_sha: str | None = None
    template_sha: str | None = None
    packed_gates: bytes | None = None
    signature: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    per_op: bool = False

    def __post_init__(self) -> None:
        of_template = self.template_sha is not None and self.packed_gates is not None
        partly = (self.template_sha is None) != (self.packed_gates is None)
        if partly or of_template == (self.model_sha is not None):
            raise InputError(
                "a job names either model_sha, or template_sha with packed_gates; got "
                f"model_sha={self.model_sha!r}, template_sha={self.template_sha!r}, "
                f"packed_gates of {len(self.packed_gates or b'')} bytes"
            )

    def header(self) -> dict[str, Any]:
        return {"template_sha": self.template_sha} if self.model_sha is None else {"model_sha": self.model_sha}

    def call(self) -> dict[str, Any]:
        """How it is called, as a request to measure says it."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        return {"signature": self.signature, "shapes": shapes, "per_op": self.per_op}


class CampaignJob(NamedTuple):
    """One subnet of a campaign: its position in the plan, which try this is, and its packed gates."""

    position: int
    attempt: int
    packed_gates: bytes


class CampaignReply(NamedTuple):
    """The agent's record of one job, as `AgentSession.measure` gives it, and the device's clock when it was begun."""

    position: int
    attempt: int
    started_unix_s: float
    reply: dict[str, Any]

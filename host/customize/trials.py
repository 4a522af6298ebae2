"""The drafts of a scenario, measured on the device one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from edgewright.converters.precision import Precision

from ..delivery.handover import DeliveringSession
from ..delivery.reference import Reference
from ..delivery.verification import Verification, cost_of, measure_model, verify
from ..errors import BudgetError
from ..profiling.records import Measurement
from ..supernet.outputs import keep_outputs
from ..supernet.supernet import Supernet
from ..tasks.domain import Examples, TaskOutputs
from ..wording import size_text
from .algorithm1 import Candidate
from .choice import Try
from .drafts import Draft
from .scenario import Scenario

Keep = Callable[[Scenario, Candidate, Sequence[Measurement]], None]
"""Receives every model's measurements from the device before anything else is done with them."""


def keep_nothing(scenario: Scenario, candidate: Candidate, measurements: Sequence[Measurement]) -> None:
    pass


@dataclass
class Trials:
    """The `tries` of one scenario on the session's device, judged by the task's test images."""

    scenario: Scenario
    session: DeliveringSession
    supernet: Supernet
    examples: Examples
    precision: Precision
    keep: Keep = keep_nothing
    outputs: TaskOutputs | None = None
    tries: list[Try] = field(default_factory=list)

    def verify(self, draft: Draft) -> Verification:
        """The next try. Raises what `delivery.verification.verify` raises."""
        module = self.supernet.extract(draft.candidate.gates)
        if self.outputs is not None:
            keep_outputs(module, self.outputs.rows)
        reference = Reference.of_images(module, self.examples.images)
        verification = verify(
            self.session, draft.content, reference, precision=self.precision, examples=self.examples,
            on_measured=partial(self.keep, self.scenario, draft.candidate),
        )  # fmt: skip
        self.tries.append(Try(draft.candidate, verification.cost))
        return verification

    def sentence(self) -> str:
        """By how much the last try missed the budget."""
        last, budget = self.tries[-1], self.scenario.budget
        misses = ", ".join(f"{name} by {100 * (f - 1):.1f} %" for name, f in budget.misses(last.measured).items())
        limit = last.candidate.request.limit
        return f"the model at limit {limit:.0%} misses the budget ({misses}); trying a smaller one"

    def impossible(self, least: Iterable[Draft]) -> BudgetError:
        """For a budget nothing meets, with the fastest and the smallest seen; those of the `least` are measured now."""
        measured = [each.measured for each in self.tries]
        for draft in least:
            _, measurements = measure_model(self.session, draft.content)
            self.keep(self.scenario, draft.candidate, measurements)
            measured.append(cost_of(measurements, len(draft.content)))
        fastest = min(cost.latency_ms for cost in measured if cost.latency_ms is not None)
        memories = [cost.memory_mib for cost in measured if cost.memory_mib is not None]
        smallest = size_text(min(memories)) if memories else "of unknown memory"
        return BudgetError(
            f"no subnet for '{self.scenario.task}' meets {self.scenario.budget} on {self.scenario.device!r}; "
            f"the fastest seen there took {fastest:.3f} ms, the smallest {smallest}: ask for no less than that"
        )

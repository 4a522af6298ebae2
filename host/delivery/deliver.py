"""Takes any torch module to a verdict on a device: convert, push, measure, compare with torch, write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewright.converters.precision import Precision
from torch import nn

from ..costs import Budget, Cost
from ..errors import BudgetError
from ..tasks.domain import Examples
from ..wording import size_text
from .conversion import Converted, convert_for_delivery
from .handover import DeliveringSession, Delivery, hand_over
from .verification import verify


def deliver(
    module: nn.Module,
    example_inputs: object,
    session: DeliveringSession,
    out: Path,
    *,
    purpose: str = "",
    precision: Precision = Precision.FLOAT32,
    calibration: Sequence[object] | None = None,
    budget: Budget | None = None,
    score: Examples | None = None,
    outputs: Mapping[str, Any] | None = None,
    push: bool = False,
    seed: int = 0,
    on_status: Callable[[str], None] = lambda sentence: None,
) -> Delivery:
    """Convert a module, measure it on the session's device, compare it there with torch, and write it to `out`.

    Args:
        module: in eval mode, on the CPU.
        example_inputs: a tuple of tensors, one for each input; the model keeps their shapes.
        purpose: what the model is for, for its manifest; the module's name where it is empty.
        calibration: sets of inputs that int8 is calibrated on; the example inputs alone where None.
        budget: what the model may cost on the device; nothing is written where it costs more.
        score: test images of a model with one image as its input, and what is right about them.
        outputs: how `predict` reads the outputs, as a task domain describes them.
        push: leave the model on the device, too.
        seed: of the random inputs on which the device is compared with torch, beside the example inputs.

    Raises:
        InputError: a module or inputs that no model can be made of.
        MeasurementError: it cannot be converted, the device cannot run it, or computes something different from torch.
        BudgetError: it misses the budget on the device.
    """
    converted = convert_for_delivery(
        module, example_inputs, precision, calibration=calibration, score=score, seed=seed, on_status=on_status
    )
    return deliver_converted(
        converted, session, out, purpose=purpose, budget=budget, score=score, outputs=outputs, push=push,
        on_status=on_status,
    )  # fmt: skip


def deliver_converted(
    converted: Converted,
    session: DeliveringSession,
    out: Path,
    *,
    purpose: str = "",
    budget: Budget | None = None,
    score: Examples | None = None,
    outputs: Mapping[str, Any] | None = None,
    push: bool = False,
    on_status: Callable[[str], None] = lambda sentence: None,
) -> Delivery:
    """The second half of `deliver`, from a model file on. A session that is opened in between waits for no conversion.

    A `score` must be the one that `converted` was made with.
    """
    purpose = purpose or converted.name
    on_status(f"measuring {purpose} on {session.device_name!r}")
    verification = verify(
        session, converted.content, converted.reference, precision=converted.precision, examples=score
    )
    if budget is not None:
        _check_budget(budget, verification.cost, purpose, session.device_name)
    delivery = Delivery(
        purpose=purpose,
        device=session.device_name,
        facts=session.facts(),
        precision=converted.precision,
        budget=budget,
        verification=verification,
        path=out,
        size_bytes=len(converted.content),
        float32_bytes=converted.float32_bytes,
    )
    manifest = delivery.manifest() | converted.to_json() | ({} if outputs is None else {"outputs": dict(outputs)})
    return hand_over(delivery, converted.content, session, manifest, push=push)


def _check_budget(budget: Budget, cost: Cost, purpose: str, device: str) -> None:
    """Raises `BudgetError`, with all that was measured."""
    misses = budget.misses(cost)
    if not misses:
        return
    over = ", ".join(f"{name} {_excess(share)}" for name, share in misses.items())
    raise BudgetError(
        f"{purpose} misses {budget} on {device!r} ({over}): it takes {_measured(cost)}; make it smaller, or ask for "
        "no less than that"
    )


def _excess(share: float) -> str:
    return "is not reported there" if not math.isfinite(share) else f"by {100 * (share - 1):.1f} %"


def _measured(cost: Cost) -> str:
    memory = "memory that the device does not report" if cost.memory_mib is None else size_text(cost.memory_mib)
    file = "" if cost.size_mib is None else f" and a file of {size_text(cost.size_mib)}"
    return f"{cost.latency_ms:.4g} ms, {memory}{file}"

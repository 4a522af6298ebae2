"""From a workspace to a page's data: a device's stored measurements, new predictions, and the assembler's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from edgewright.device_agent.template import Template

from ..assembler.archive import TrainedSupernet
from ..assembler.request import Request
from ..costs import CostModel
from ..customize.pareto import pareto_front, pareto_points
from ..predictors.base import Quantity
from ..predictors.drift.correction import DriftCorrection, drift_of, undisturbed
from ..predictors.judging.heldout import held_out
from ..predictors.judging.learning import MIN_SUBNETS, learning_curve
from ..predictors.judging.report import noise_floor
from ..profiling.columns import RecordColumns
from ..profiling.fleet import fleet_columns
from ..profiling.plan import Campaign
from ..profiling.verifications import VerificationRecord
from ..tasks import Task
from ..workbench.measured import MeasuredSupernet, NotProfiled
from .page_data import (
    CampaignVerdict,
    Drift,
    Front,
    GateShares,
    Learning,
    PageData,
    Predictions,
    Rows,
    Verified,
)

LIMIT = 0.2
_N_FRONTS = 4
_FACTS = (
    "model", "soc", "cpu_model", "machine", "cores", "usable_cpus", "memory_total_mib", "os", "kernel", "glibc",
    "governor", "max_freq_khz", "python", "numpy", "runtime", "runtime_version", "delegate", "device_id",
)  # fmt: skip


@dataclass(frozen=True)
class Gathered:
    """What the pieces of a page are made from. `records` are the undisturbed ones, `raw` all as measured."""

    campaign: Campaign
    raw: RecordColumns
    records: RecordColumns
    drift: DriftCorrection
    facts: dict[str, Any]
    verifications: Sequence[VerificationRecord]
    predict: CostModel
    trained: TrainedSupernet
    template: Template
    precision: str


def gather(measured: MeasuredSupernet) -> Gathered:
    """What the store knows of a supernet on a device; of a campaign that was spread over several, all their records.

    Raises what `MeasuredSupernet.needed` raises, and `NotProfiled` where a campaign has measured nothing yet.
    """
    campaign, device, supernet = measured.needed(), measured.device_name, measured.supernet
    facts = measured.store.measuring_facts(campaign)
    if facts is None:
        raise NotProfiled(f"{device!r} has no records with this supernet that the agent measured")
    raw = fleet_columns(measured.store, campaign)
    drift = drift_of(raw, measured.space)
    return Gathered(
        campaign=campaign,
        raw=raw,
        records=undisturbed(raw, drift),
        drift=drift[device],
        facts=facts,
        verifications=measured.verifications(),
        predict=measured.cost_model(),
        trained=supernet.trained,
        template=supernet.profiled,
        precision=str(supernet.precision),
    )


def page_data(gathered: Gathered, tasks: Sequence[Task], seed: int = 0) -> PageData:
    """The whole page; the assembler is asked for all `tasks`, and for the front of a few of them."""
    measured = gathered.raw.take(gathered.raw.of_kind("subnet") & ~gathered.raw.failed)
    n_subnets = len(np.unique(measured.recorded, axis=0))
    gaps, learning = {}, None
    if n_subnets < MIN_SUBNETS:
        gaps["learning"] = f"a learning curve needs {MIN_SUBNETS} measured subnets, this campaign has {n_subnets}."
    else:
        learning = _learning(gathered, seed)
    return PageData(
        device=gathered.campaign.device,
        made_at=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        facts=_facts(gathered.facts),
        protocol=tuple((name.replace("_", " "), _text(v)) for name, v in gathered.campaign.protocol.to_json().items()),
        campaign=_campaign(gathered, n_subnets),
        verdict=_verdict(gathered.drift),
        predictions=_predictions(gathered),
        drift=_drift(gathered),
        learning=learning,
        fronts=_fronts(gathered, tasks[:: max(1, len(tasks) // _N_FRONTS)][:_N_FRONTS]),
        gate_shares=_gate_shares(gathered.trained, tasks),
        verified=tuple(row for record in gathered.verifications for row in _verified(record)),
        gaps=gaps,
    )


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:,.0f}" if isinstance(value, float) and value >= 1000 else str(value)


def _facts(facts: dict[str, Any]) -> Rows:
    return tuple((name.replace("_", " "), _text(facts[name])) for name in _FACTS if facts.get(name) is not None)


def _campaign(gathered: Gathered, n_subnets: int) -> Rows:
    options, records = gathered.campaign.options, gathered.raw
    rows = {
        "number": gathered.campaign.id,
        "begun": gathered.campaign.created_at,
        "subnets": n_subnets,
        "measured twice": int(records.of_kind("repeat").sum()),
        "sentinels": int(records.of_kind("sentinel").sum()),
        "unsteady": int(records.unsteady.sum()),
        "failed": int(records.failed.sum()),
        "seed": options.seed,
        "supernet": gathered.trained.digest,
        "precision": gathered.precision,
        "template": gathered.campaign.source[:16],
        "spread over": ", ".join(options.fleet) or None,
    }
    return tuple((name, str(value)) for name, value in rows.items() if value is not None)


def _verdict(drift: DriftCorrection) -> CampaignVerdict:
    if not len(drift.rows):
        return CampaignVerdict(None, ("Too few records to tell whether the device was disturbed.",))
    strayed = max((abs(part.level - 1) for part in drift.stretches), default=0.0)
    clean = f"Nothing disturbed the device: its speed stayed within {strayed:.1%}, and few records stand apart."
    return CampaignVerdict(drift.disturbances, tuple(map(_sentence, drift.sentences)) or (clean,))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _predictions(gathered: Gathered) -> tuple[Predictions, ...]:
    subnets = gathered.trained.supernet.subnets
    floor = noise_floor(gathered.records)
    quantities: list[tuple[Quantity, str, float | None]] = [("latency", "ms", floor.latency)]
    if not np.isnan(gathered.records.memory_mib).all():
        quantities.append(("memory", "MiB", floor.memory))
    pages = []
    for quantity, unit, noise in quantities:
        seen = held_out(quantity, gathered.records, subnets)
        counts = tuple(", ".join(f"{n:.0f}" for n in row) for row in seen.features)
        ratios = seen.features.sum(1) / subnets.gates.total
        pages.append(
            Predictions(
                quantity, unit, seen.measured, seen.predicted, seen.low, seen.high, ratios, counts, noise,
                seen.confidence,
            )  # fmt: skip
        )
    return tuple(pages)


def _drift(gathered: Gathered) -> Drift | None:
    drift = gathered.drift
    if not len(drift.rows):
        return None
    return Drift(
        before=100 * np.expm1(drift.residual),
        after=100 * np.expm1(drift.residual - np.log(drift.factor)),
        is_sentinel=gathered.raw.of_kind("sentinel")[drift.rows],
        stretches=drift.stretches if len(drift.stretches) > 1 else (),
    )


def _learning(gathered: Gathered, seed: int) -> Learning:
    curve = learning_curve(gathered.raw, gathered.trained.supernet.subnets, np.random.default_rng(seed))
    return Learning(
        np.array([point.n_train for point in curve.points]),
        np.array([point.mape for point in curve.points]),
        noise_floor(gathered.records).latency,
        _sentence(curve.sentence),
    )


def _fronts(gathered: Gathered, tasks: Sequence[Task]) -> tuple[Front, ...]:
    fronts = []
    for task in tasks:
        points = pareto_front(pareto_points(gathered.trained.assembler, gathered.template, gathered.predict, task))
        memories = [point.memory_mib for point in points if point.memory_mib is not None]
        fronts.append(
            Front(
                task=str(task),
                limit=np.array([point.limit for point in points]),
                latency_ms=np.array([point.latency_ms for point in points]),
                memory_mib=np.array(memories) if len(memories) == len(points) else None,
                size_mib=np.array([point.size_mib for point in points]),
                score=np.array([point.score for point in points]),
            )
        )
    return tuple(fronts)


def _gate_shares(trained: TrainedSupernet, tasks: Sequence[Task]) -> GateShares:
    space = trained.supernet.space
    gates = trained.assembler.assemble([Request(task, LIMIT) for task in tasks])
    widths = np.array([site.width for site in space.sites], float)  # (L,)
    shares = np.array([each.counts for each in gates]) / widths  # (K, L)
    sites = tuple(site.name for site in space.sites)
    return GateShares(LIMIT, tuple(map(str, tasks)), sites, shares, len(tasks))


def _verified(record: VerificationRecord) -> list[Verified]:
    known = [
        ("latency", "ms", record.predicted_latency_ms, record.upper_latency_ms, record.latency_ms, "latency_ms"),
        ("memory", "MiB", record.predicted_memory_mib, record.upper_memory_mib, record.memory_mib, "memory_mib"),
    ]
    when = record.started_at[:19]
    return [
        Verified(when, record.task, quantity, unit, predicted, upper, measured, record.budget.get(name))
        for quantity, unit, predicted, upper, measured, name in known
    ]

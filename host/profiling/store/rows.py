"""Records, campaigns and verifications as rows of the store's tables, and back."""

from __future__ import annotations

import json
from typing import Any, Protocol

from edgewright.device_agent.timing import TimingProtocol

from ...architecture import EncodedArchitecture
from ..plan import Campaign, PlanOptions
from ..records import Failure, Measurement, Record
from ..verifications import VerificationRecord

RECORD_COLUMNS = (
    "campaign_id position kind gates_digest packed_gates counts facts_digest started_at latency_ms samples_ms "
    "memory_mib memory_method n_warmup settled load_ms size_bytes child_ms emit_ms overhead_ms health error_kind "
    "error_message attempts schema steady marks"
).split()
VERIFICATION_COLUMNS = (
    "device template_sha facts_digest started_at gates_digest packed_gates counts samples_ms latency_ms memory_mib "
    "memory_method predicted_latency_ms upper_latency_ms predicted_memory_mib upper_memory_mib protocol budget task "
    "fits"
).split()


class Row(Protocol):
    """A row as the database gives it: values by column name."""

    def __getitem__(self, name: str, /) -> Any: ...


def dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _protocol(text: str) -> TimingProtocol:
    """A stored protocol; one of before there was a confidence interval did not ask for one."""
    return TimingProtocol.from_json({"ci_share": 1.0, **json.loads(text)})


def campaign_from_row(row: Row) -> Campaign:
    return Campaign(
        id=row["id"],
        device=row["device"],
        space_digest=row["space_digest"],
        source=row["template_sha"],
        protocol=_protocol(row["protocol"]),
        options=PlanOptions.from_json(json.loads(row["options"])),
        plan_digest=row["plan_digest"],
        n_planned=row["n_planned"],
        created_at=row["created_at"],
    )


def record_to_row(campaign: Campaign, record: Record) -> dict[str, Any]:
    measured, error = record.measurement, record.error
    return {
        "campaign_id": campaign.id,
        "position": record.position,
        "kind": record.kind,
        "gates_digest": record.architecture.digest,
        "packed_gates": record.architecture.encoding,
        "counts": dump(record.features),
        "facts_digest": record.facts_digest,
        "started_at": record.started_at,
        "latency_ms": record.latency_ms,
        "samples_ms": None if measured.samples_ms is None else dump(measured.samples_ms),
        "memory_mib": measured.memory_mib,
        "memory_method": measured.memory_method,
        "n_warmup": measured.n_warmup,
        "settled": measured.settled,
        "load_ms": measured.load_ms,
        "size_bytes": measured.size_bytes,
        "child_ms": measured.child_ms,
        "emit_ms": measured.emit_ms,
        "overhead_ms": record.overhead_ms,
        "health": dump(measured.health),
        "error_kind": None if error is None else error.kind,
        "error_message": None if error is None else error.message,
        "attempts": record.attempts,
        "schema": record.schema,
        "steady": measured.steady,
        "marks": dump(measured.marks),
    }


def record_from_row(row: Row, campaign: Campaign) -> Record:
    samples = row["samples_ms"]
    measurement = Measurement(
        samples_ms=None if samples is None else tuple(json.loads(samples)),
        memory_mib=row["memory_mib"],
        memory_method=row["memory_method"],
        n_warmup=row["n_warmup"],
        settled=None if row["settled"] is None else bool(row["settled"]),
        load_ms=row["load_ms"],
        size_bytes=row["size_bytes"],
        child_ms=row["child_ms"],
        emit_ms=row["emit_ms"],
        steady=None if row["steady"] is None else bool(row["steady"]),
        marks=tuple(json.loads(row["marks"])),
        health=json.loads(row["health"]),
        error=None if row["error_kind"] is None else Failure(row["error_kind"], row["error_message"]),
    )
    return Record(
        position=row["position"],
        kind=row["kind"],
        architecture=_architecture(row),
        device=campaign.device,
        protocol=campaign.protocol,
        facts_digest=row["facts_digest"],
        started_at=row["started_at"],
        measurement=measurement,
        overhead_ms=row["overhead_ms"],
        attempts=row["attempts"],
        schema=row["schema"],
    )


def verification_to_row(record: VerificationRecord) -> dict[str, Any]:
    architecture = record.architecture
    own = {
        "template_sha": record.source, "gates_digest": architecture.digest, "packed_gates": architecture.encoding,
        "counts": dump(architecture.features), "samples_ms": dump(record.samples_ms), "budget": dump(record.budget),
        "protocol": dump(record.protocol.to_json()),
    }  # fmt: skip
    return {name: getattr(record, name) for name in VERIFICATION_COLUMNS if name not in own} | own


def verification_from_row(row: Row) -> VerificationRecord:
    taken = {"latency_ms", "template_sha", "gates_digest", "packed_gates", "counts"}
    values = {name: row[name] for name in VERIFICATION_COLUMNS if name not in taken}
    values["samples_ms"] = tuple(tuple(samples) for samples in json.loads(row["samples_ms"]))
    values["protocol"] = _protocol(row["protocol"])
    values["budget"], values["fits"] = json.loads(row["budget"]), bool(row["fits"])
    return VerificationRecord(**values, source=row["template_sha"], architecture=_architecture(row), id=row["id"])


def _architecture(row: Row) -> EncodedArchitecture:
    return EncodedArchitecture("gates", row["gates_digest"], row["packed_gates"], tuple(json.loads(row["counts"])))

"""Delivery: writes a model that was verified on its device beside its manifest, and leaves it there if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edgewright.converters.precision import Precision

from ..costs import Budget, Cost
from ..files import write_atomic
from .manifest import heading, manifest_path, versions, write_manifest
from .verification import PROTOCOL, Verification, VerifyingSession


class DeliveringSession(VerifyingSession, Protocol):
    """What delivering needs of a device."""

    device_name: str

    def facts(self) -> dict[str, Any]: ...

    def deliver(self, sha256: str, name: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Delivery:
    """A delivered model: what it is for, what it was measured to cost on its device, and where it is.

    `float32_bytes` is the size of the same model before it was quantised; `device_path` is None where it was not left
    on the device.
    """

    purpose: str
    device: str
    facts: Mapping[str, Any]
    precision: Precision
    budget: Budget | None
    verification: Verification
    path: Path
    size_bytes: int
    float32_bytes: int
    device_path: str | None = None

    @property
    def manifest_path(self) -> Path:
        return manifest_path(self.path)

    @property
    def measured(self) -> Cost:
        return self.verification.cost

    @property
    def latency_spread_ms(self) -> tuple[float, float]:
        """Least and largest median over the processes that measured it."""
        return self.verification.latency_spread_ms

    @property
    def parity_max_abs(self) -> float:
        return self.verification.parity_max_abs

    @property
    def sha256(self) -> str:
        return self.verification.model_sha256

    def to_json(self) -> dict[str, Any]:
        """As the command line reports it. `verified`: within the budget on the device, where there is one."""
        return {
            "model": str(self.path),
            "manifest": str(self.manifest_path),
            "device": self.device,
            "device_path": self.device_path,
            "precision": str(self.precision),
            "budget": None if self.budget is None else self.budget.to_json(),
            "measured": self.measured.to_json(),
            "latency_spread_ms": self.latency_spread_ms,
            "parity_max_abs": self.parity_max_abs,
            "verified": self.budget is None or self.budget.fits(self.measured),
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
        }

    def manifest(self) -> dict[str, Any]:
        """Without what only its maker knows."""
        return {
            **heading(),
            "task": self.purpose,
            "precision": str(self.precision),
            "device": {"name": self.device, "facts": dict(self.facts)},
            "budget": None if self.budget is None else self.budget.to_json(),
            "measured": self.verification.to_json(),
            "protocol": PROTOCOL.to_json(),
            "size_bytes": self.size_bytes,
            "float32": {"size_bytes": self.float32_bytes},
            "hashes": {"model_sha256": self.sha256},
            "versions": versions(),
        }


def hand_over(
    delivery: Delivery, content: bytes, session: DeliveringSession, manifest: Mapping[str, Any], *, push: bool
) -> Delivery:
    """Write the model and its manifest; with `push` leave the model on the device, under the name of its file.

    Raises `StorageError`, and `DeviceError` where the device does not take it.
    """
    write_atomic(delivery.path, content)
    write_manifest(delivery.path, manifest)
    if not push:
        return delivery
    left = session.deliver(delivery.sha256, delivery.path.name)
    return replace(delivery, device_path=left["path"])

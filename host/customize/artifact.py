"""A customised model: its delivery, and how it was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewright.converters.precision import Precision

from ..costs import Cost
from ..delivery.handover import Delivery
from ..delivery.verification import Scores, Verification
from ..errors import InputError
from .algorithm1 import Candidate
from .scenario import Scenario


@dataclass(frozen=True)
class Artifact:
    """A delivered model. `customize_s` is from the request to the first candidate's file on disk, measuring excluded;
    `total_s` includes the device's verdict. `tries` counts the candidates that were measured."""

    scenario: Scenario
    candidate: Candidate
    delivery: Delivery
    customize_s: float
    total_s: float
    tries: int

    @property
    def verification(self) -> Verification:
        return self.delivery.verification

    @property
    def scores(self) -> Scores:
        """On the task's test images."""
        scores = self.verification.scores
        if scores is None:
            raise InputError(f"{self.path} was delivered without a score on its task's test images")
        return scores

    @property
    def path(self) -> Path:
        return self.delivery.path

    @property
    def manifest_path(self) -> Path:
        return self.delivery.manifest_path

    @property
    def device_path(self) -> str | None:
        return self.delivery.device_path

    @property
    def size_bytes(self) -> int:
        return self.delivery.size_bytes

    @property
    def float32_bytes(self) -> int:
        return self.delivery.float32_bytes

    @property
    def precision(self) -> Precision:
        return self.delivery.precision

    @property
    def measured(self) -> Cost:
        return self.delivery.measured

    @property
    def float32(self) -> dict[str, Any]:
        """The same model before it was quantised, on the same test images."""
        return {self.scores.name.key: self.scores.in_torch, "size_bytes": self.float32_bytes}

    def manifest(self, supernet_digest: str, template_sha256: str, seed: int) -> dict[str, Any]:
        """The delivery's, and how the model was chosen."""
        manifest, gates, estimate = self.delivery.manifest(), self.candidate.gates, self.candidate.estimate
        hashes = {"template_sha256": template_sha256, "supernet": supernet_digest}
        return {
            **manifest,
            "float32": self.float32,
            "request": {"limit": self.candidate.request.limit, "filled": self.candidate.filled},
            "gates": {
                "digest": gates.digest,
                "packed": gates.pack().hex(),
                "ratio": gates.ratio,
                "counts": {site.name: n for site, n in zip(gates.space.sites, gates.counts, strict=True)},
            },
            "predicted": estimate.predicted.to_json(),
            "upper": estimate.upper.to_json(),
            "confidence": estimate.confidence,
            "test_images_seed": seed,
            "customize_s": self.customize_s,
            "total_s": self.total_s,
            "tries": self.tries,
            "hashes": {**manifest["hashes"], **hashes},
        }

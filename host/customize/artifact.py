"""What is delivered: a model file and its manifest."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edgewright.converters.precision import Precision

from ..costs import Cost
from ..delivery.verification import PROTOCOL, Verification
from ..files import write_atomic
from .algorithm1 import Candidate
from .scenario import Scenario

MANIFEST_SUFFIX = ".manifest.json"
_VERSIONS = ("edgewright", "torch", "timm", "litert-torch", "ai-edge-quantizer", "ai-edge-litert", "numpy")


@dataclass(frozen=True)
class Artifact:
    """A delivered model. `customize_s` is from the request to the first candidate's file on disk, measuring excluded;
    `total_s` includes the device's verdict. `tries` counts the candidates that were measured. `float32_bytes` is the
    size of the same model before it was quantised."""

    scenario: Scenario
    candidate: Candidate
    verification: Verification
    path: Path
    size_bytes: int
    customize_s: float
    total_s: float
    tries: int
    float32_bytes: int
    precision: Precision = Precision.FLOAT32
    device_path: str | None = None

    @property
    def manifest_path(self) -> Path:
        return self.path.with_name(self.path.name + MANIFEST_SUFFIX)

    @property
    def measured(self) -> Cost:
        return self.verification.cost

    @property
    def float32(self) -> dict[str, Any]:
        """The same model before it was quantised, on the same test images."""
        verified = self.verification
        return {verified.score_name.key: verified.torch_score, "size_bytes": self.float32_bytes}

    def manifest(self, supernet_digest: str, template_sha256: str, facts: dict[str, Any], seed: int) -> dict[str, Any]:
        gates = self.candidate.gates
        return {
            "format": "edgewright-artifact",
            "version": 1,
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "task": str(self.scenario.task),
            "precision": str(self.precision),
            "float32": self.float32,
            "device": {"name": self.scenario.device, "facts": facts},
            "budget": self.scenario.budget.to_json(),
            "request": {"limit": self.candidate.request.limit, "filled": self.candidate.filled},
            "gates": {
                "digest": gates.digest,
                "packed": gates.pack().hex(),
                "ratio": gates.ratio,
                "counts": {site.name: n for site, n in zip(gates.space.sites, gates.counts, strict=True)},
            },
            "predicted": self.candidate.predicted.to_json(),
            "upper": self.candidate.estimate.upper.to_json(),
            "confidence": self.candidate.estimate.confidence,
            "measured": self.verification.to_json(),
            "protocol": PROTOCOL.to_json(),
            "test_images_seed": seed,
            "customize_s": self.customize_s,
            "total_s": self.total_s,
            "tries": self.tries,
            "size_bytes": self.size_bytes,
            "hashes": {
                "model_sha256": self.verification.model_sha256,
                "template_sha256": template_sha256,
                "supernet": supernet_digest,
            },
            "versions": {**{name: version(name) for name in _VERSIONS}, "python": platform.python_version()},
        }


def write_manifest(artifact: Artifact, manifest: dict[str, Any]) -> None:
    """Raises `StorageError`."""
    write_atomic(artifact.manifest_path, json.dumps(manifest, indent=1).encode())

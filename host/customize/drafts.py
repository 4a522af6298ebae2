"""Turns a candidate into a model file of the workspace: cut out of the template, and quantised if requested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template

from ..architecture import Architecture
from ..delivery.quantization import Quantization
from ..files import write_atomic
from .algorithm1 import Candidate
from .choice import with_size


@dataclass(frozen=True)
class Draft:
    """A candidate's model, in memory and as a file of the workspace."""

    candidate: Candidate
    content: bytes
    path: Path
    float32_bytes: int  # before it was quantised


@dataclass(frozen=True)
class Drafter:
    """Cuts models out of the float32 `template` of a supernet, into `folder`."""

    template: Template
    folder: Path
    supernet_digest: str
    quantization: Quantization | None = None

    @property
    def precision(self) -> Precision:
        return Precision.FLOAT32 if self.quantization is None else self.quantization.precision

    def draft(self, candidate: Candidate) -> Draft:
        """Raises `MeasurementError` where it cannot be quantised, `StorageError` where it cannot be written."""
        content = float32 = self.template.emit(candidate.gates.pack()).tobytes()
        name = f"{self.supernet_digest}-{candidate.gates.digest}"
        if self.quantization is not None:
            content = self.quantization.quantize(float32, candidate.request.task)
            name += f"-{self.precision}"
        path = self.folder / f"{name}.tflite"
        write_atomic(path, content)
        known = replace(candidate, estimate=with_size(candidate.estimate, len(content) / 2**20))
        return Draft(known, content, path, len(float32))

    def size_mib(self, architecture: Architecture) -> float:
        """Of the file: exact in float32, and in other precisions at most the padding of the template's slices more."""
        template = self.template if self.quantization is None else self.quantization.template
        return len(template.emit(architecture.encoding)) / 2**20

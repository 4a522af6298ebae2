"""Turns a candidate into a model file of the workspace: cut out of the template, with only its task's outputs, and
quantised if requested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template

from ..architecture import Architecture
from ..delivery.quantization import Quantization
from ..errors import MeasurementError
from ..files import write_atomic
from ..tasks.domain import TaskOutputs
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
    """Cuts models for one task out of the float32 `template` of a supernet, into `folder`; `outputs` are the task's."""

    template: Template
    folder: Path
    supernet_digest: str
    quantization: Quantization | None = None
    outputs: TaskOutputs | None = None

    @property
    def precision(self) -> Precision:
        return Precision.FLOAT32 if self.quantization is None else self.quantization.precision

    def draft(self, candidate: Candidate) -> Draft:
        """Raises `MeasurementError` where outputs cannot be cut off or the model not be quantised, `StorageError` where
        it cannot be written."""
        content = float32 = self._cut(self.template.emit(candidate.gates.pack()).tobytes())
        name = f"{self.supernet_digest}-{candidate.gates.digest}"
        if self.outputs is not None:
            name += f"-{hashlib.sha256(repr(self.outputs).encode()).hexdigest()[:8]}"
        if self.quantization is not None:
            content = self.quantization.quantize(float32, candidate.request.task)
            name += f"-{self.precision}"
        content, float32 = self._labelled(content), self._labelled(float32)
        path = self.folder / f"{name}.tflite"
        write_atomic(path, content)
        known = replace(candidate, estimate=with_size(candidate.estimate, len(content) / 2**20))
        return Draft(known, content, path, len(float32))

    def size_mib(self, architecture: Architecture) -> float:
        """Of the file: exact in float32 where all outputs are kept, else at most some padding more."""
        template = self.template if self.quantization is None else self.quantization.template
        return (len(template.emit(architecture.encoding)) + self._more_bytes) / 2**20

    @cached_property
    def _more_bytes(self) -> int:
        """What the task's outputs and their names add to a file, or save; much the same for every subnet."""
        if self.outputs is None:
            return 0
        least = self.template.emit(least_gates(self.template)).tobytes()
        return len(self._labelled(self._cut(least))) - len(least)

    def _cut(self, float32: bytes) -> bytes:
        if self.outputs is None:
            return float32
        from edgewright.converters.errors import ConversionError
        from edgewright.converters.outputs import cut_outputs

        try:
            return cut_outputs(float32, self.outputs.rows)
        except ConversionError as error:
            raise MeasurementError(f"a model for one task cannot be cut out of this supernet: {error}") from error

    def _labelled(self, content: bytes) -> bytes:
        if self.outputs is None:
            return content
        from edgewright.converters.outputs import with_labels

        return with_labels(content, self.outputs.labels)


def least_gates(template: Template) -> bytes:
    """Packed gates that open one module of each site."""
    bits = [np.arange(site.width) == 0 for site in template.sites]
    return np.packbits(np.concatenate(bits)).tobytes()

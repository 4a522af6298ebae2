"""Quantises a model. A task's model is calibrated on images of the task, never on its test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from edgewright.converters.precision import Precision
from edgewright.device_agent.template import Template
from numpy.typing import NDArray

from ..errors import InputError, MeasurementError
from ..tasks import Task
from ..tasks.domain import TaskDomain, calibration_images

N_IMAGES = 300


def parse_precision(text: str) -> Precision:
    """Raises `InputError`."""
    try:
        return Precision(text)
    except ValueError as error:
        names = ", ".join(Precision)
        raise InputError(f"a precision is one of {names}; got {text!r}") from error


def quantized(
    content: bytes, precision: Precision, calibration: NDArray[Any] | Sequence[NDArray[Any]] | None = None
) -> bytes:
    """A float32 model in this precision; int8 is calibrated on samples as `converters.quantize` takes them.

    Raises `MeasurementError` when the quantiser cannot do it.
    """
    from edgewright.converters.errors import ConversionError
    from edgewright.converters.quantize import quantize

    try:
        return quantize(content, precision, calibration)
    except ConversionError as error:
        raise MeasurementError(f"the chosen model cannot become {precision}: {error}") from error


@dataclass(frozen=True)
class Quantization:
    """How a chosen float32 model is quantised. `template` is the whole supernet's in that precision: of its slices
    campaigns are made, and file sizes predicted."""

    precision: Precision
    template: Template
    domain: TaskDomain  # on whose training images it is calibrated
    n_images: int = N_IMAGES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.precision is Precision.FLOAT32:
            raise InputError("float32 needs no quantisation; leave the quantisation out")
        if self.n_images < 1:
            raise InputError(f"int8 is calibrated on at least one image, got {self.n_images}")

    def quantize(self, content: bytes, task: Task) -> bytes:
        """Raises `MeasurementError` when the quantiser cannot do it."""
        if self.precision is not Precision.INT8:
            return quantized(content, self.precision)
        rng = np.random.default_rng(self.seed)
        return quantized(content, self.precision, calibration_images(self.domain, [task], self.n_images, rng))

    def to_json(self) -> dict[str, Any]:
        """The part that belongs in a manifest: the calibration images of an int8 model."""
        if self.precision is not Precision.INT8:
            return {}
        return {"calibration": {"split": "train", "n_images": self.n_images, "seed": self.seed}}

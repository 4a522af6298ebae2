"""Runs a delivered model: images in, boxes or answers out. The device computes; the host reads the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..data.pictures import check_picture
from ..devices.session.jobs import MeasureJob
from ..domains.protocol import Prediction, Reader
from ..domains.registry import DOMAINS
from ..errors import InputError, MeasurementError
from ..files import sha256_of
from .manifest import manifest_path, read_manifest

MIN_SCORE = 0.3
REMEDY = "make the model again with: edgewright customize"
_AT_ONCE = 32  # pictures in memory


class RunningSession(Protocol):
    """What predicting needs of a device."""

    device_name: str

    def put_blob(self, data: bytes) -> str: ...

    def run(self, job: MeasureJob, inputs: NDArray[np.float32]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class DeliveredModel:
    """A model file and how its manifest says to read it."""

    path: Path
    content: bytes
    task: str
    reader: Reader

    @classmethod
    def read(cls, path: Path) -> DeliveredModel:
        """Raises `InputError` where the model or the manifest beside it is missing, or the two do not go together."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read model {path}: {error.strerror or error}; check the path") from error
        manifest_file = manifest_path(path)
        manifest = read_manifest(manifest_file)
        outputs = manifest.get("outputs")
        if "signature" in manifest and outputs is None:
            raise InputError(
                f"{manifest_file} says that {path} was delivered as it is, and not how its outputs are read; run it "
                "with code of your own"
            )
        if not isinstance(outputs, dict):
            raise InputError(f'{manifest_file} does not say how to read the model ("outputs" is missing); {REMEDY}')
        _check_belongs(path, content, manifest_file, manifest)
        return cls(path, content, str(manifest.get("task", "")), _reader(manifest_file, outputs))


def check_images(images: Sequence[Path]) -> None:
    """Raises `InputError` for a file that is not an image, before anything is done with the others."""
    for path in images:
        check_picture(path)


def predict_each(
    model: DeliveredModel, images: Sequence[Path], session: RunningSession, min_score: float = MIN_SCORE
) -> Iterator[Prediction]:
    """What the model says about each image, in their order; computed on the session's device.

    Raises:
        InputError: an image cannot be read, a `min_score` beyond 0 and 1, outputs that are not as the manifest says.
        MeasurementError: the model does not run there, or computes no numbers.
    """
    if not 0 <= min_score < 1:
        raise InputError(f"`min_score` must lie within 0 and 1, such as {MIN_SCORE}; got {min_score}")
    job = MeasureJob(model_sha=session.put_blob(model.content))

    def run(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        outputs = session.run(job, inputs)
        if not np.isfinite(outputs).all():
            raise MeasurementError(
                f"{model.path} gives no finite numbers on {session.device_name!r}; its runtime computes this model "
                "wrongly: try another runtime version"
            )
        return outputs

    for start in range(0, len(images), _AT_ONCE):
        yield from model.reader.predict(images[start : start + _AT_ONCE], run, min_score)


def _check_belongs(path: Path, content: bytes, manifest_file: Path, manifest: dict[str, Any]) -> None:
    hashes = manifest.get("hashes")
    told, actual = hashes.get("model_sha256") if isinstance(hashes, dict) else None, sha256_of(content)
    if told != actual:
        raise InputError(
            f"{path} is not the model that {manifest_file} describes (sha256 {actual[:12]}, the manifest says "
            f"{str(told)[:12]}); copy both again from where the model was made"
        )


def _reader(manifest_file: Path, outputs: dict[str, Any]) -> Reader:
    name = outputs.get("name")
    if not isinstance(name, str) or name not in DOMAINS.names:
        raise InputError(
            f"{manifest_file} is of the task domain {name!r}, which this version does not know; it knows: "
            f"{', '.join(DOMAINS.names)}"
        )
    try:
        return DOMAINS.get(name).reader(outputs)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f'the "outputs" of {manifest_file} cannot be used ({reason}); {REMEDY}') from error

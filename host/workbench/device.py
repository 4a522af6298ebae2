"""One device of a workspace: reached when it is needed, asked to measure, given models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MeasurementError
from .options import BenchmarkModel, ModelCall

if TYPE_CHECKING:
    from edgewright.converters.precision import Precision
    from torch import nn

    from ..costs import Budget, Cost
    from ..delivery.handover import Delivery
    from ..devices.registry import Device
    from ..devices.transport import Transport
    from ..domains.protocol import Prediction
    from ..profiling.records import Measurement
    from ..tasks.domain import Examples
    from .data import Say


class DeviceBench:
    """A device and, once something is measured, its session; `Workbench.device` makes one and closes it."""

    def __init__(self, device: Device, folder: Path, measurer: BenchmarkModel | None = None) -> None:
        self.device, self.measurer, self._folder = device, measurer, folder
        self._session: Any = None

    @property
    def name(self) -> str:
        return self.device.name

    @property
    def session(self) -> Any:
        """A session with the agent, or with benchmark_model; opened at first use, and again where the last one was
        lost or interrupted. Raises `DeviceError`."""
        if self._session is None:
            self._session = self.open_session()
        elif self._session.is_over:
            self._session.reopen()
        return self._session

    def open_session(self) -> Any:
        """Another session, a context manager, for a thread of its own. Raises `DeviceError`."""
        from ..devices.connect import connect, open_session

        if self.measurer is None:
            return open_session(self.device, self._folder)
        from ..devices.benchmark_model.session import BenchmarkModelSession

        binary, delegate = self.measurer.binary, self.measurer.delegate
        return BenchmarkModelSession(lambda: connect(self.device, self._folder), self.name, binary, delegate)

    @contextmanager
    def reached(self) -> Iterator[Transport]:
        """A transport to the device, closed at the end. Raises `DeviceError`."""
        from ..devices.connect import connect

        transport = connect(self.device, self._folder)
        try:
            yield transport
        finally:
            transport.close()

    @contextmanager
    def reserved(self, what: str) -> Iterator[None]:
        """Let campaigns on this device wait. `what` is the work that would disturb them.

        Raises `DeviceRefused` at once when another process runs a campaign or reserves the device.
        """
        from ..workspace import Workspace
        from .campaign_lock import CampaignLock

        with CampaignLock(Workspace(self._folder), self.name).held_now(what):
            yield

    def facts(self) -> dict[str, Any]:
        """Facts about the device: model, processor, runtime and its version."""
        facts: dict[str, Any] = self.session.facts()
        return facts

    def measure(
        self,
        model: str | Path,
        threads: int = 1,
        *,
        signature: str | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        per_op: bool = False,
    ) -> Measurement:
        """Latency and memory of a model file. Choose its `signature` and the `shapes` of its inputs, by name.

        With `per_op`, also the costs of its operators, if the runtime can tell.

        Raises:
            InputError: the file cannot be read or is empty, `threads` is not a number of threads, or the model has no
                such signature or input, or does not take such a shape.
            MeasurementError: the device could not measure it.
        """
        return self.measure_and_tell(model, ModelCall(threads, signature, shapes, per_op))[0]

    def measure_and_tell(self, model: str | Path, call: ModelCall) -> tuple[Measurement, Mapping[str, Any]]:
        """`measure`, and the agent's whole answer."""
        from ..devices.session.jobs import MeasureJob
        from ..profiling.records import Measurement

        content = read_model(Path(model))
        asked = {name: tuple(shape) for name, shape in (call.shapes or {}).items()}
        sha = self.session.put_blob(content)
        job = MeasureJob(model_sha=sha, signature=call.signature, shapes=asked, per_op=call.per_op)
        reply = self.session.measure(job, call.protocol())
        measurement = Measurement.from_reply(reply)
        if measurement.error is not None:
            if measurement.error.kind == "bad_call":
                raise InputError(f"{model}: {measurement.error.message}")
            unreadable = measurement.error.kind == "load_failed"
            remedy = "; is it a whole .tflite file? make or copy it again" if unreadable else ""
            raise MeasurementError(f"{model} could not be measured on {self.name!r}: {measurement.error}{remedy}")
        called = {name: tuple(shape) for name, shape in reply["shapes"].items()}
        return replace(measurement, signature=reply["signature"], shapes=called, per_op=reply.get("per_op")), reply

    def cost(self, content: bytes) -> Cost:
        """What a model file costs here, measured as for a verdict: in several processes. Raises `MeasurementError`."""
        from ..delivery.verification import cost_of, measure_model

        return cost_of(measure_model(self.session, content)[1], len(content))

    def deliver(
        self,
        module: nn.Module,
        example_inputs: object,
        out: str | Path,
        *,
        purpose: str = "",
        precision: Precision | str = "float32",
        calibration: Sequence[object] | None = None,
        budget: Budget | None = None,
        score: Examples | None = None,
        outputs: Mapping[str, Any] | None = None,
        push: bool = False,
        seed: int = 0,
        on_status: Say = lambda sentence: None,
    ) -> Delivery:
        """Any torch module to a verdict here; arguments and errors are those of `delivery.deliver.deliver`.

        The device is reached when the module is converted.
        """
        from ..delivery.conversion import convert_for_delivery
        from ..delivery.deliver import deliver_converted
        from ..delivery.quantization import parse_precision

        converted = convert_for_delivery(
            module, example_inputs, parse_precision(str(precision)), calibration=calibration, score=score, seed=seed,
            on_status=on_status,
        )  # fmt: skip
        return deliver_converted(
            converted, self.session, Path(out), purpose=purpose, budget=budget, score=score, outputs=outputs, push=push,
            on_status=on_status,
        )  # fmt: skip

    def push(self, model: str | Path) -> dict[str, Any]:
        """Leave a model file on the device; its hash is checked there. Returns its `path` and `sha256` there."""
        path = Path(model)
        content = read_model(path)
        check_delivered_name(path)
        delivered: dict[str, Any] = self.session.deliver(self.session.put_blob(content), path.name)
        return delivered

    def predict(
        self, model: str | Path, images: Sequence[str | Path], min_score: float = 0.3
    ) -> list[Prediction]:
        """What a delivered model, its manifest beside it, says about image files; computed on the device.

        Boxes with a lower score than `min_score` do not count. Raises `InputError` for files that cannot be read or do
        not belong together, and `MeasurementError` where the device cannot run the model.
        """
        from ..delivery.prediction import DeliveredModel, check_images, predict_each

        paths = [Path(image) for image in images]
        delivered = DeliveredModel.read(Path(model))
        check_images(paths)
        return list(predict_each(delivered, paths, self.session, min_score))

    def close(self) -> None:
        """End the session; the next use opens another."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def read_model(model: Path) -> bytes:
    """Raises `InputError` for a file that cannot be read, or is empty."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read model {model}: {error.strerror or error}; check the path") from error
    if not content:
        raise InputError(f"model {model} is empty; make or copy it again")
    return content


def check_delivered_name(model: Path) -> None:
    """Raises `InputError` for a file that cannot keep its name on a device; before anything slow."""
    from edgewright.device_agent.blobs import BlobError, check_artifact_name

    try:
        check_artifact_name(model.name)
    except BlobError as error:
        raise InputError(f"{error}; rename the file") from error

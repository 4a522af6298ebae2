"""Who measures: our agent, or Google's benchmark_model where the user has a binary of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..devices.registry import Device

_BACKENDS = ("agent", "benchmark-model")
_DELEGATES = ("cpu", "xnnpack", "gpu", "nnapi")


@dataclass(frozen=True)
class Backend:
    """Raises `InputError` for a name that is none, and for a benchmark-model without its binary."""

    name: str = "agent"
    binary: Path | None = None
    delegate: str = "xnnpack"

    def __post_init__(self) -> None:
        if self.name not in _BACKENDS:
            raise InputError(f"a backend is one of {', '.join(_BACKENDS)}; got {self.name!r}")
        if self.delegate not in _DELEGATES:
            raise InputError(f"a delegate is one of {', '.join(_DELEGATES)}; got {self.delegate!r}")
        if self.name == "agent" and self.binary is not None:
            raise InputError("--binary is for --backend benchmark-model; the agent brings what it needs")
        if self.name == "agent" and self.delegate != "xnnpack":
            raise InputError(
                f"--delegate {self.delegate} is for --backend benchmark-model; the agent computes on the CPU (xnnpack)"
            )
        if self.name == "benchmark-model" and (self.binary is None or not self.binary.is_file()):
            raise InputError(
                "--backend benchmark-model needs --binary FILE, Google's benchmark_model for the device; "
                f"got {self.binary}"
            )

    def open(self, device: Device, place: Workspace) -> Any:
        """A session that measures: a context manager. Raises `DeviceError`."""
        from ..devices.connect import open_session

        if self.binary is None:
            return open_session(device, place.root)
        from ..devices.benchmark_model.session import BenchmarkModelSession
        from ..devices.connect import connect

        return BenchmarkModelSession(lambda: connect(device, place.root), device.name, self.binary, self.delegate)

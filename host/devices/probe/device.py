"""Examines a device with nothing but a POSIX shell."""

from __future__ import annotations

from typing import Any

from ...errors import DeviceError
from ..transport import Transport
from .parsing import parse_health, parse_report
from .report import DeviceReport
from .script import END, HEALTH, PROBE


def probe_device(transport: Transport, timeout_s: float = 20.0) -> DeviceReport:
    """Probe the device once. Raises `DeviceError` when it cannot be reached or has no POSIX shell."""
    return parse_report(_run(transport, PROBE, timeout_s))


def probe_health(transport: Transport, timeout_s: float = 20.0) -> dict[str, Any]:
    """The state that can disturb a measurement, with the keys the agent's `health` has. Raises as `probe_device`."""
    return parse_health(_run(transport, HEALTH, timeout_s))


def _run(transport: Transport, script: str, timeout_s: float) -> str:
    """What one of the scripts printed. Raises `DeviceError` when there is no device or no POSIX shell."""
    done = transport.run(["sh", "-c", script, "sh", transport.agent_dir], timeout_s)
    text = done.stdout.decode(errors="replace")
    if END not in text.split():
        said = (done.stderr.decode(errors="replace").strip() or text.strip())[-300:]
        raise DeviceError(
            f"the device's shell did not run the probe to its end (exit code {done.returncode}, it said: {said!r}); "
            "a POSIX sh with sed and uname is needed there"
        )
    return text

"""Which runtime the agent uses on a device: the device's own if one works, or else a bundle built on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DeviceError, InputError
from ..bundle.machines import BUNDLE_MACHINES
from ..probe.pythons import DevicePython, find_pythons

if TYPE_CHECKING:
    from ..bundle.build import Bundle
    from ..transport import Transport

_COMMAND_S = 60.0
_OWN = ("ai-edge-litert", "tflite-runtime")
BUNDLED_RUNTIME = "ai-edge-litert"


@dataclass(frozen=True)
class Choice:
    """`argv` starts a Python of the device; with a `bundle` it is empty. `reason` is for people."""

    argv: tuple[str, ...]
    bundle: Bundle | None
    reason: str


def choose_runtime(
    transport: Transport,
    device_name: str,
    python_path: str | None,
    runtime_name: str | None,
    bundle_path: Path | None,
    cache_dir: Path,
    say: Callable[[str], None],
) -> Choice:
    """In this order: what the user named; LiteRT or tflite-runtime in a Python of the device; our bundle;
    TensorFlow's own interpreter.

    `python_path` is on the device, `bundle_path` on this machine; None leaves the choice open.
    Raises: `DeviceError` when nothing fits, saying why for each Python; `InputError` for a bundle that is none.
    """
    if bundle_path is not None:
        choice = _named_bundle(transport, device_name, bundle_path)
    else:
        choice = _found(transport, device_name, python_path, runtime_name, cache_dir, say)
    say(f"runtime: {choice.reason}")
    return choice


def _named_bundle(transport: Transport, device_name: str, bundle_path: Path) -> Choice:
    from ..bundle.build import load_bundle

    bundle, machine = load_bundle(bundle_path), _machine(transport)
    if machine != bundle.manifest.get("machine"):
        raise InputError(
            f"{bundle_path} is a bundle for {bundle.manifest.get('machine')}, and device {device_name!r} is {machine}; "
            f"leave out `bundle`"
        )
    return Choice((), bundle, f"the bundle {bundle_path.name}, as requested")


def _machine(transport: Transport) -> str:
    said = transport.run(["uname", "-m"], _COMMAND_S).stdout.decode(errors="replace").strip()
    return "aarch64" if said == "arm64" else said


def _found(
    transport: Transport,
    device_name: str,
    python_path: str | None,
    runtime_name: str | None,
    cache_dir: Path,
    say: Callable[[str], None],
) -> Choice:
    pythons = find_pythons(transport, () if python_path is None else (python_path,))
    if python_path is not None:
        return _named_python(pythons, python_path, runtime_name, device_name)
    for wanted in (runtime_name,) if runtime_name else _OWN:
        for python in pythons:
            if python.usable_for_agent and wanted in python.runtimes:
                return _in_python(python, wanted)
    machine = _machine(transport)
    if machine in BUNDLE_MACHINES and runtime_name in (None, BUNDLED_RUNTIME):
        from ..bundle.build import build_bundle

        for python in pythons:
            say(f"{python.path}: {python.why_not()}{_unused_torch(python)}")
        say(f"no Python with a TFLite runtime on device {device_name!r}: using our own bundle")
        return Choice((), build_bundle(BUNDLE_MACHINES[machine], cache_dir, say), "our own bundle of Python and LiteRT")
    for python in pythons:
        if runtime_name is None and python.usable_for_agent and "tensorflow" in python.runtimes:
            return _in_python(python, "tensorflow")
    raise DeviceError(_nothing_fits(pythons, device_name, machine, runtime_name))


def _in_python(python: DevicePython, runtime_name: str) -> Choice:
    version = ".".join(map(str, python.version))
    reason = f"{runtime_name} {python.runtimes[runtime_name]} in {python.path} (Python {version})"
    return Choice((python.path,), None, reason)


def _named_python(
    pythons: tuple[DevicePython, ...], python_path: str, runtime_name: str | None, device_name: str
) -> Choice:
    python = next((each for each in pythons if python_path in (each.path, each.asked)), None)
    if python is None:
        raise InputError(f"{python_path!r} does not start as a Python on device {device_name!r}; name its full path")
    if not python.usable_for_agent or (runtime_name and runtime_name not in python.runtimes):
        why = python.why_not() or f"it has no {runtime_name}, only {', '.join(python.tflite_runtimes)}"
        raise DeviceError(f"{python_path} on device {device_name!r} cannot run the agent: {why}")
    return _in_python(python, runtime_name or next(iter(python.runtimes)))


def _unused_torch(python: DevicePython) -> str:
    """The bundle has no torch, and the agent runs in one Python."""
    if "torch" not in python.runtimes:
        return ""
    return f"; its torch {python.runtimes['torch']} could run .pt2 files if {BUNDLED_RUNTIME} were installed beside it"


def _nothing_fits(pythons: tuple[DevicePython, ...], device_name: str, machine: str, runtime_name: str | None) -> str:
    why = "; ".join(f"{python.path}: {python.why_not()}" for python in pythons) or "there is no Python"
    wanted = runtime_name or "TFLite runtime"
    return (
        f"device {device_name!r} ({machine}) has no Python with a working {wanted}: {why}; install one there with: "
        f"python3 -m pip install {runtime_name or 'ai-edge-litert'} numpy, and deploy again"
    )

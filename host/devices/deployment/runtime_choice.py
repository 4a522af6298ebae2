"""Which runtime the agent uses on a device: the device's own where one works, else a bundle built on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DeviceError, InputError
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
    python: str | None,
    runtime: str | None,
    bundle: Path | None,
    cache_dir: Path,
    say: Callable[[str], None],
) -> Choice:
    """In this order: what the user named; LiteRT or tflite-runtime in a Python of the device; the arm64 bundle;
    TensorFlow's own interpreter.

    Raises: `DeviceError` when nothing fits, saying why for each Python; `InputError` for a bundle that is none.
    """
    if bundle is not None:
        choice = _named_bundle(transport, device_name, bundle)
    else:
        choice = _found(transport, device_name, python, runtime, cache_dir, say)
    say(f"runtime: {choice.reason}")
    return choice


def _named_bundle(transport: Transport, device_name: str, path: Path) -> Choice:
    from ..bundle.build import load_bundle

    bundle, machine = load_bundle(path), _machine(transport)
    if machine != bundle.manifest.get("machine"):
        raise InputError(
            f"{path} is a bundle for {bundle.manifest.get('machine')}, and device {device_name!r} is {machine}; "
            f"leave out `bundle`"
        )
    return Choice((), bundle, f"the bundle {path.name}, as asked")


def _machine(transport: Transport) -> str:
    said = transport.run(["uname", "-m"], _COMMAND_S).stdout.decode(errors="replace").strip()
    return "aarch64" if said == "arm64" else said


def _found(
    transport: Transport,
    device_name: str,
    python: str | None,
    runtime: str | None,
    cache_dir: Path,
    say: Callable[[str], None],
) -> Choice:
    pythons = find_pythons(transport, () if python is None else (python,))
    if python is not None:
        return _asked(pythons, python, runtime, device_name)
    for wanted in (runtime,) if runtime else _OWN:
        for each in pythons:
            if each.usable_for_agent and wanted in each.runtimes:
                return _own(each, wanted)
    machine = _machine(transport)
    if machine == "aarch64" and runtime in (None, BUNDLED_RUNTIME):
        from ..bundle.build import build_bundle

        for each in pythons:
            say(f"{each.path}: {each.why_not()}{_unused_torch(each)}")
        say(f"no Python with a TFLite runtime on device {device_name!r}: using a bundle of our own")
        return Choice((), build_bundle(cache_dir, say), "our own bundle of Python and LiteRT")
    for each in pythons:
        if runtime is None and each.usable_for_agent and "tensorflow" in each.runtimes:
            return _own(each, "tensorflow")
    raise DeviceError(_nothing(pythons, device_name, machine, runtime))


def _own(own: DevicePython, runtime: str) -> Choice:
    version = ".".join(map(str, own.version))
    return Choice((own.path,), None, f"{runtime} {own.runtimes[runtime]} in {own.path} (Python {version})")


def _asked(pythons: tuple[DevicePython, ...], python: str, runtime: str | None, device_name: str) -> Choice:
    own = next((each for each in pythons if python in (each.path, each.asked)), None)
    if own is None:
        raise InputError(f"{python!r} does not start as a Python on device {device_name!r}; name its full path")
    if not own.usable_for_agent or (runtime and runtime not in own.runtimes):
        why = own.why_not() or f"it has no {runtime}, only {', '.join(own.tflite_runtimes)}"
        raise DeviceError(f"{python} on device {device_name!r} cannot run the agent: {why}")
    return _own(own, runtime or next(iter(own.runtimes)))


def _unused_torch(own: DevicePython) -> str:
    """The bundle has no torch, and the agent runs in one Python."""
    if "torch" not in own.runtimes:
        return ""
    return f"; its torch {own.runtimes['torch']} could run .pt2 files if {BUNDLED_RUNTIME} were installed beside it"


def _nothing(pythons: tuple[DevicePython, ...], device_name: str, machine: str, runtime: str | None) -> str:
    why = "; ".join(f"{each.path}: {each.why_not()}" for each in pythons) or "there is no Python"
    wanted = runtime or "TFLite runtime"
    return (
        f"device {device_name!r} ({machine}) has no Python with a working {wanted}: {why}; install one there with: "
        f"python3 -m pip install {runtime or 'ai-edge-litert'} numpy, and deploy again"
    )

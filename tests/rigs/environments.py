"""Python environments with the TFLite runtimes whose packages conflict with the project's own. Built once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.rigs.client import RigUnavailable, rig_root

_PINS = Path(__file__).parent
_INSTALL_S = 900.0


@dataclass(frozen=True)
class Environment:
    """A Python with exactly the packages of `requirements-<name>.txt`."""

    name: str
    python: Path


def environment(name: str) -> Environment:
    """The environment `name`, made first if need be; two sessions make it once.

    Raises: `RigUnavailable` when this machine has no Python 3.11 with venv, or the packages cannot be had.
    """
    pins = _PINS / f"requirements-{name}.txt"
    base = _python()
    key = hashlib.sha256(f"{base}\n{pins.read_text()}".encode()).hexdigest()[:16]
    folder = rig_root() / "environments" / f"{name}-{key}"
    folder.parent.mkdir(exist_ok=True)
    with open(folder.parent / f".lock-{name}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _build(name, base, pins, folder)
    return Environment(name, folder / "bin" / "python")


def _build(name: str, base: str, pins: Path, folder: Path) -> None:
    """Marked as ready last, so that one that was cut short is made again."""
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    _step(name, "make", [base, "-m", "venv", str(folder)])
    # The pins are complete: nothing else is looked for, and nothing is compiled.
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--requirement", str(pins)]
    _step(name, "install the packages of", [python, *install])
    (folder / "ready").touch()


def _step(name: str, what: str, argv: list[str]) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    try:
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RigUnavailable(
            f"it takes more than {_INSTALL_S:g} s to {what} environment {name}", "try again on a quieter machine"
        ) from error
    if done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()[-600:]
        raise RigUnavailable(
            f"cannot {what} environment {name}: {said}",
            f"let pip reach an index or a folder that has requirements-{name}.txt",
        )


def _python() -> str:
    """A Python 3.11 that is no environment itself: the pinned wheels are for that version."""
    if sys.version_info[:2] == (3, 11):
        return os.path.realpath(sys.executable)
    found = shutil.which("python3.11")
    if found is None:
        raise RigUnavailable("there is no Python 3.11", "apt-get install python3.11 python3.11-venv")
    return found

"""The Pythons of a device, and which runtimes really load in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...errors import DeviceError, InputError
from ..transport import Transport

TFLITE_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow")
_NAMES = ("python3", *(f"python3.{minor}" for minor in range(14, 7, -1)))
_OLDEST = (3, 8)
_MARK = "edgewright-python:"

# Prints "path<TAB>key" of each name that can be started. The key is the file behind its links, but for a virtual
# environment, which has packages of its own, the path itself.
_FIND = r"""
for n in "$@"; do
p=$(command -v "$n") || continue
case $p in /*) ;; *) continue ;; esac
k=$(readlink -f "$p" 2>/dev/null)
[ -f "${p%/*}/../pyvenv.cfg" ] && k=$p
printf '%s\t%s\n' "$p" "${k:-$p}"
done
:
"""

# Runs on Python 3.6, to be able to say that it is too old. Every import is made in a forked child: one that crashes or
# hangs is a reason, not the end. What libraries print goes to stderr.
PROBE = r"""
import json, os, signal, sys
import importlib.util
if sys.path and sys.path[0] == "":
    del sys.path[0]
out = os.dup(1)
os.dup2(2, 1)

def version_of(*names):
    try:
        from importlib import metadata
    except ImportError:
        return None
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return None

def in_child(work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        try:
            said = ["ok", work()]
        except BaseException as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
            said = ["failed", (type(error).__name__ + ": " + lines[-1 if len(lines) > 4 else 0])[:300]]
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    data = b""
    while True:
        part = os.read(read, 65536)
        if not part:
            break
        data += part
    os.close(read)
    status = os.waitpid(pid, 0)[1]
    if data:
        return json.loads(data.decode())
    number = status & 127
    if number == signal.SIGALRM:
        return ["failed", "it did not import within 30 s"]
    return ["failed", "the import crashed Python (signal %d)" % number]

def imported(module, path):
    def work():
        found = __import__(module, fromlist=["x"])
        for name in path:
            found = getattr(found, name)
        return getattr(sys.modules[module.split(".")[0]], "__version__", None)
    return work

def installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False

answer = {"executable": os.path.realpath(sys.executable), "prefix": sys.prefix, "version": list(sys.version_info[:3])}
try:
    answer["glibc"] = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace("glibc ", "") or None
except (ValueError, OSError, AttributeError):
    answer["glibc"] = None
answer["environment"] = "own"
if sys.prefix != getattr(sys, "base_prefix", sys.prefix):
    answer["environment"] = "venv"
elif os.path.exists(os.path.join(os.path.dirname(os.__file__), "EXTERNALLY-MANAGED")):
    answer["environment"] = "managed"
runtimes, failures, versions = {}, {}, {}
answer.update(runtimes=runtimes, failures=failures, versions=versions, numpy=None)

def check(name, module, path, version):
    state, said = in_child(imported(module, path))
    if state == "ok":
        runtimes[name] = version or said or "unknown"
    else:
        failures[name] = said
        versions[name] = version

if installed("numpy"):
    check("numpy", "numpy", ["ndarray"], version_of("numpy"))
    answer["numpy"] = runtimes.pop("numpy", None)
if sys.version_info >= (3, 8):
    if installed("ai_edge_litert"):
        check("ai-edge-litert", "ai_edge_litert.interpreter", ["Interpreter"], version_of("ai-edge-litert"))
    if installed("tflite_runtime"):
        check("tflite-runtime", "tflite_runtime.interpreter", ["Interpreter"], version_of("tflite-runtime"))
    if installed("tensorflow"):
        version = version_of("tensorflow", "tensorflow-cpu", "tensorflow-aarch64", "tensorflow-cpu-aws")
        if runtimes:
            runtimes["tensorflow"] = version or "unknown"
        else:
            check("tensorflow", "tensorflow", ["lite", "Interpreter"], version)
    if installed("torch"):
        runtimes["torch"] = version_of("torch") or "unknown"
os.write(out, ("\nedgewright-python:" + json.dumps(answer) + "\n").encode())
"""


@dataclass(frozen=True)
class DevicePython:
    """One Python of a device; `asked` is the path by which the user named it.

    `runtimes` are those found, with their versions ("unknown" where a package has none): the TFLite ones were really
    imported, except TensorFlow where a lighter one was; torch is only found. `failures` has the reason in one line for
    each that is installed and does not load, `versions` its version; numpy is among them where it does not load.
    `version` is () for a Python that does not start, with the reason as the failure of "python". `environment` is
    "venv" for a virtual one, "managed" where the system forbids pip to install into it, else "own".
    """

    path: str
    version: tuple[int, ...]
    numpy: str | None = None
    runtimes: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    glibc: str | None = None
    environment: str = "own"
    asked: str | None = None

    @property
    def tflite_runtimes(self) -> tuple[str, ...]:
        """Those that load, best first."""
        return tuple(name for name in TFLITE_RUNTIMES if name in self.runtimes)

    @property
    def usable_for_agent(self) -> bool:
        return self.version[:2] >= _OLDEST and self.numpy is not None and bool(self.tflite_runtimes)

    def why_not(self) -> str:
        """Why the agent cannot run in it, as half a sentence; empty when it can."""
        if self.usable_for_agent:
            return ""
        if not self.version:
            return f"it does not start: {self.failures.get('python', 'no reason given')}"
        if self.version[:2] < _OLDEST:
            return f"Python {self._version_text} is too old; 3.8 or newer is needed"
        reasons = [self._broken(name) for name in ("numpy", *TFLITE_RUNTIMES) if name in self.failures]
        if self.numpy is None and "numpy" not in self.failures:
            reasons.insert(0, "numpy is not installed")
        if not self.tflite_runtimes and not any(name in self.failures for name in TFLITE_RUNTIMES):
            reasons.append("no TFLite runtime is installed")
        return "; ".join(reasons)

    def summary(self) -> str:
        """One line for a table."""
        if not self.version:
            return self.why_not()
        numpy = [] if self.numpy is None else [f"numpy {self.numpy}"]
        parts = [f"Python {self._version_text}", *numpy, *(f"{name} {text}" for name, text in self.runtimes.items())]
        return ", ".join(parts) + ("" if self.usable_for_agent else f"; not for the agent: {self.why_not()}")

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path, "version": self._version_text or None,
            "numpy": self.numpy, "runtimes": dict(self.runtimes), "failures": dict(self.failures),
            "glibc": self.glibc, "usable_for_agent": self.usable_for_agent, "why_not": self.why_not() or None,
        }  # fmt: skip

    @property
    def _version_text(self) -> str:
        return ".".join(str(number) for number in self.version)

    def _broken(self, name: str) -> str:
        version = self.versions.get(name)
        reason = self.failures[name]
        wanted = re.search(r"GLIBC_(\d+\.\d+)' not found", reason)
        if wanted is not None:
            reason = f"GLIBC_{wanted[1]} not found (this device has glibc {self.glibc or 'of unknown version'})"
        return f"{name}{f' {version}' if version else ''} is installed but does not load: {reason}"


def find_pythons(transport: Transport, extra: Sequence[str] = (), timeout_s: float = 120.0) -> tuple[DevicePython, ...]:
    """The Pythons on the device's PATH and at `extra` (absolute paths, listed first); () where there is none.

    `timeout_s` is for each Python; one that does not answer is in the result with its reason.
    Raises: `InputError` for a path in `extra` that is not the absolute path of a program, `DeviceError` when the device
        is gone.
    """
    for path in extra:
        if not path.startswith("/"):
            raise InputError(f"a Python of a device is named by its absolute path there, got {path!r}")
    unique: dict[tuple[str, str], DevicePython] = {}
    for path in _candidates(transport, extra):
        key, python = _look_at(transport, path, timeout_s)
        if path in extra:
            python = replace(python, asked=path)
        elif _is_absent(python):
            continue
        unique.setdefault(key, python)
    return tuple(unique.values())


def _candidates(transport: Transport, extra: Sequence[str]) -> list[str]:
    """Paths of different Pythons, as far as links tell."""
    done = transport.run(["sh", "-c", _FIND, "sh", *extra, *_NAMES], 20.0)
    if done.returncode != 0:
        raise DeviceError(
            f"the device's shell could not look for Pythons (exit code {done.returncode}): {_tail(done.stderr)}"
        )
    lines = [line.partition("\t") for line in done.stdout.decode(errors="replace").split("\n") if "\t" in line]
    started = {path for path, _, _ in lines}
    for path in extra:
        if path not in started:
            raise InputError(f"there is no program {path!r} on the device; check the path of its Python")
    by_key = {key: path for path, _, key in reversed(lines)}  # the first of each key
    return [path for path, _, key in lines if by_key[key] == path]


def _is_absent(python: DevicePython) -> bool:
    """A version manager's stand-in for a Python it does not have: 127 is the shell's "no such command"."""
    return python.failures.get("python", "").startswith("exit code 127,")


def _look_at(transport: Transport, path: str, timeout_s: float) -> tuple[tuple[str, str], DevicePython]:
    """What identifies a Python, and what it reported about itself."""
    try:
        done = transport.run([path, "-B", "-c", PROBE], timeout_s)
    except DeviceError as error:
        transport.run(["sh", "-c", ":"], 20.0)  # raises when it was the device, not this Python
        return (path, ""), DevicePython(path, (), failures={"python": str(error)})
    answer = _answer(done.stdout)
    if answer is None:
        reason = f"exit code {done.returncode}, it said: {_tail(done.stderr) or _tail(done.stdout) or 'nothing'}"
        return (path, ""), DevicePython(path, (), failures={"python": reason})
    return (answer["executable"], answer["prefix"]), DevicePython(
        path=path,
        version=tuple(answer["version"]),
        numpy=answer["numpy"],
        runtimes=answer["runtimes"],
        failures=answer["failures"],
        versions=answer["versions"],
        glibc=answer["glibc"],
        environment=answer["environment"],
    )


def _answer(stdout: bytes) -> dict[str, Any] | None:
    """The probe's one line among everything else that was printed; None if it is missing or incomplete."""
    for line in stdout.decode(errors="replace").split("\n"):
        if line.startswith(_MARK):
            try:
                answer = json.loads(line[len(_MARK) :])
            except ValueError:
                return None
            return answer if isinstance(answer, dict) else None
    return None


def _tail(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").split("\n") if line.strip()]
    return (lines[-1] if lines else "")[-300:]

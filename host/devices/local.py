"""This machine as a device: the same seam over pipes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ..errors import DeviceError, InputError
from ..files import atomic_path, make_dir, storage_error
from .address import Address
from .transport import Completed

_TAIL_BYTES = 8192


class LocalTransport:
    """Commands of this machine, started without a shell."""

    def __init__(self, agent_dir: Path) -> None:
        self.agent_dir = str(agent_dir.resolve())
        self._streams: list[LocalStream] = []

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True)
        except OSError as error:
            raise _cannot_start(argv, error) from error
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(
                f"{argv[0]} did not end within {timeout_s:g} s on this machine and was stopped"
            ) from error
        finally:
            _end(process)
        return Completed(process.returncode, stdout, stderr)

    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        _copy(source, Path(target), mode)

    def pull(self, source: str, target: Path) -> None:
        _copy(Path(source), target)

    def open_stream(self, argv: Sequence[str]) -> LocalStream:
        self._streams.append(LocalStream(argv))
        return self._streams[-1]

    def close(self) -> None:
        for stream in self._streams:
            stream.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Of a command that is still there, everything that it started too."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    with process:
        pass  # closes its pipes and reaps it


def _copy(source: Path, target: Path, mode: int = 0o600) -> None:
    """Raises `StorageError` when `target` cannot be written, `DeviceError` when `source` cannot be read."""
    if not source.is_file():
        raise DeviceError(f"cannot read {source}: there is no such file; check the path")
    with atomic_path(target, mode) as temporary:
        shutil.copyfile(source, temporary)


def _cannot_start(argv: Sequence[str], error: OSError) -> DeviceError:
    return DeviceError(f"cannot start {argv[0]} on this machine: {error.strerror or error}; check that it is installed")


class LocalStream:
    """A child process in a session of its own, so that a Ctrl-C at the terminal reaches only the host."""

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise _cannot_start(argv, error) from error
        assert self._process.stdin is not None and self._process.stdout is not None and self._process.stderr is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._tail = _Tail(self._process.stderr)

    @property
    def pid(self) -> int:
        return self._process.pid

    def read(self, size: int, timeout_s: float) -> bytes:
        if not select.select([self._stdout.fileno()], [], [], max(0.0, timeout_s))[0]:
            raise TimeoutError(f"nothing to read for {timeout_s:g} s")
        return os.read(self._stdout.fileno(), min(size, 1 << 20))

    def write(self, data: bytes, timeout_s: float) -> None:
        rest = memoryview(data)
        deadline = time.monotonic() + timeout_s
        while rest:
            if not select.select([], [self._stdin.fileno()], [], max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError(f"{len(rest)} bytes not taken for {timeout_s:g} s")
            try:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
            except BlockingIOError:
                continue
            deadline = time.monotonic() + timeout_s

    def ending(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it is still running"
        return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"

    def stderr_tail(self) -> str:
        return self._tail.text(wait=self._process.poll() is not None)

    def close(self, timeout_s: float) -> None:
        self._stdin.close()
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # unreaped, so the number is still ours
            self._process.wait()
        self._tail.text(wait=True)
        self._stdin.close()
        self._stdout.close()


class _Tail:
    """Reads a pipe to its end in a thread, so that its writer never blocks, and keeps the last bytes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._kept = bytearray()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._drain, name="edgewright-stderr", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with self._pipe as pipe:
            while data := pipe.read(4096):
                self._kept = (self._kept + data)[-_TAIL_BYTES:]

    def text(self, wait: bool) -> str:
        """What was kept; with `wait`, after the last byte has come or a second has passed."""
        if wait:
            self._thread.join(timeout=1.0)
        return self._kept.decode(errors="replace").strip()


class LocalKind:
    """This machine, as the registry of transports knows it."""

    form = "local:"

    def parse(self, uri: str) -> Address:
        if uri != self.form:
            raise InputError(f"the URI of this machine is {self.form!r} and nothing else; got {uri!r}")
        return Address("local")

    def settled(self, uri: str) -> str:
        return uri

    def connect(self, address: Address, device_name: str, workspace_dir: Path) -> LocalTransport:
        """All files are in a folder of the workspace that only this user can read. Raises `StorageError`."""
        return LocalTransport(_private_folder(workspace_dir / "agent"))

    def own_python(self) -> str:
        return sys.executable


def _private_folder(path: Path) -> Path:
    make_dir(path)
    try:
        os.chmod(path, 0o700)
    except OSError as error:
        raise storage_error(path, error) from error
    return path.resolve()


LOCAL_KIND = LocalKind()

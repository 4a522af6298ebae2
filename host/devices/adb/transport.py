"""A phone over ADB as a device: the same seam over adb's shell and sync protocols."""

from __future__ import annotations

import io
import os
import posixpath
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import DeviceError, InputError
from ...files import atomic_path
from ..address import Address
from ..marks import Command
from ..transport import Completed
from .phones import (
    Phone,
    attached_phones,
    choose_serial,
    find_phone,
    is_network_serial,
    not_attached,
    shown,
    unusable,
)
from .server import REPLY_S, LinkError, Refusal, ServerConnection, ask_server, server_trouble
from .shell_v2 import TAIL_BYTES, AdbStream
from .sync import SyncSession

__all__ = ["AdbTransport", "Phone", "attached_phones", "choose_serial", "connect_adb"]

AGENT_DIR = "/data/local/tmp/edgewright"
_CONNECT_S = 15.0
_SETTLE_S = 5.0
_TRANSFER_S = 60.0
_EXPLAIN_S = 3.0
_KILL_S = 3.0
# The group of a process is its own, unless a vendor's shell stayed above it; the third word after its name says which.
_KILL = "read -r stat < /proc/{0}/stat; set -- ${{stat##*) }}; kill -KILL -${{3:-{0}}}"
_HOUSEKEEPING_S = 30.0
_NEXT_STEP = {
    "No space left": "free some space on the phone",
    "Permission denied": f"adb's shell user may only use folders such as {AGENT_DIR}",
    "Read-only": f"adb's shell user may only use folders such as {AGENT_DIR}",
    "No such file": "check the path",
    "no folder": "make it first, or check the path",
    "is a folder": "choose another name",
}


def connect_adb(address: Address, device_name: str) -> AdbTransport:
    """Reach the phone at an adb address; without a serial, the only usable one that is attached.

    Raises: `DeviceError` when it is absent or cannot be used, `InputError` when it is not clear which one is meant.
    """
    name = address.serial or choose_serial()
    phone = _attached(name, device_name)
    if not phone.usable:
        raise unusable(phone, device_name)
    transport = AdbTransport(name if name == phone.serial else _reached_as(phone), device_name)
    transport.check_shell()
    return transport


class AdbTransport:
    """The shell user of one phone. Commands go through the phone's shell as quoted words."""

    agent_dir = AGENT_DIR

    def __init__(self, serial: str, device_name: str) -> None:
        self.serial = serial
        self.device_name = device_name
        self._streams: list[AdbStream] = []

    def check_shell(self) -> None:
        """Raises `DeviceError` when its Android is too old to keep a command's outputs and exit code apart."""
        with self._explained("reach its adbd"), ServerConnection() as server:
            server.reach(self.serial)
            server.request("host:features")
            features = server.reply().split(",")
        if "shell_v2" not in features:
            raise DeviceError(
                f"device {self.device_name!r}: the Android of phone {shown(self.serial)} lacks adb's shell protocol 2 "
                "(its features: "
                f"{shown(', '.join(features)) or 'none'}); Android 7 or newer is needed: update it or use another phone"
            )

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        return self._run(Command(tuple(argv), reports_exit_code=True), timeout_s)

    def _run(self, command: Command, timeout_s: float) -> Completed:
        deadline = time.monotonic() + timeout_s
        program = command.argv[0]
        stream = self._start(command, min(timeout_s, REPLY_S), stderr_bytes=None)
        try:
            stdout, code = command.ended(_all_output(stream, deadline))
        except TimeoutError as error:
            raise DeviceError(
                f"device {self.device_name!r}: {program} did not end within {timeout_s:g} s and was stopped; "
                "look at the phone, or allow more time"
            ) from error
        finally:
            stream.kill()
        if code is None:
            code = stream.exit_code
        if code is None:
            raise self._failure(f"run {program}", LinkError(stream.ending()))
        if stream.noise is not None:
            raise self._unstarted(program, stream)
        return Completed(code, stdout, stream.stderr())

    def push(self, source: Path, target: str, mode: int = 0o600) -> None:
        _check_path(target)
        temporary = posixpath.join(posixpath.dirname(target), f".edgewright-{secrets.token_hex(8)}")
        with _open_source(source) as file:
            try:
                self._send(file, temporary, target)
                self._install(temporary, target, mode)
            except BaseException:
                self._discard(temporary)
                raise

    def pull(self, source: str, target: Path) -> None:
        _check_path(source)
        with atomic_path(target) as temporary, open(temporary, "wb") as file:
            self._fetch(source, file)

    def open_stream(self, argv: Sequence[str]) -> AdbStream:
        stream = self._start(Command(tuple(argv)), REPLY_S, TAIL_BYTES)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        for stream in self._streams:
            stream.kill()

    def _start(self, command: Command, timeout_s: float, stderr_bytes: int | None) -> AdbStream:
        with self._explained(f"run {command.argv[0]}"):
            sock = self._open_shell(command.program, timeout_s)
            return AdbStream(sock, command, self._kill_group, stderr_bytes)

    def _open_shell(self, line: str, timeout_s: float) -> socket.socket:
        server = ServerConnection(timeout_s)
        try:
            server.reach(self.serial)
            server.request(f"shell,v2,raw:{line}")
        except BaseException:
            server.sock.close()
            raise
        return server.sock

    def _kill_group(self, pid: int) -> None:
        try:
            with self._open_shell(_KILL.format(pid), _KILL_S) as sock:
                while sock.recv(4096):
                    pass  # to its end: leaving now could hang up on the shell before it has sent the signal
        except (LinkError, OSError, DeviceError):
            pass  # the phone is gone, and everything it ran with it

    def _send(self, file: io.FileIO, temporary: str, target: str) -> None:
        doing = f"write {shown(target)}"
        with self._explained(doing), SyncSession(self.serial, _TRANSFER_S) as sync:
            _check_place(sync, target)
            size = sync.send(file, temporary)
            arrived = sync.stat(temporary)
        if not arrived.has_size(size):
            raise self._failure(doing, LinkError(f"{arrived.size_mod_4gib} of {size} bytes arrived"))

    def _install(self, temporary: str, target: str, mode: int) -> None:
        move = ("mv", "-f", temporary, target)
        done = self._run(Command(("chmod", f"{mode:o}", temporary), True, move), _HOUSEKEEPING_S)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip() or f"exit code {done.returncode}"
            raise self._failure(f"write {shown(target)}", LinkError(said))

    def _discard(self, temporary: str) -> None:
        """As far as the phone can still be reached; the error on its way matters more than this one."""
        try:
            self.run(["rm", "-f", temporary], REPLY_S)
        except DeviceError:
            pass

    def _fetch(self, source: str, file: BinaryIO) -> None:
        doing = f"read {shown(source)}"
        with self._explained(doing), SyncSession(self.serial, _TRANSFER_S) as sync:
            remote = sync.stat(source)
            if remote.is_link:
                source = self._resolved(source)
                remote = sync.stat(source)
            if remote.is_other:
                raise LinkError("it is not a regular file")
            size = sync.receive(source, file.write)
        if not remote.has_size(size):
            raise self._failure(doing, LinkError(f"{size} of {remote.size_mod_4gib} bytes arrived"))

    def _resolved(self, link: str) -> str:
        done = self.run(["readlink", "-f", link], _HOUSEKEEPING_S)
        if done.returncode != 0:
            raise LinkError("its link leads nowhere (No such file or directory)")
        return os.fsdecode(done.stdout.removesuffix(b"\n"))

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except LinkError as error:
            raise self._failure(doing, error) from error

    def _unstarted(self, program: str, stream: AdbStream) -> DeviceError:
        said = (stream.noise or b"").decode(errors="replace").strip() or stream.stderr_tail() or "nothing"
        return DeviceError(
            f"device {self.device_name!r}: the phone's shell did not start {program}; it said {said[-300:]!r}; "
            f"see what it says to: adb -s {shown(self.serial)} shell id"
        )

    def _failure(self, doing: str, error: LinkError) -> DeviceError:
        """The sentence for what went wrong: the phone's state is the reason when it is not the usual one."""
        phone = find_phone(self.serial, _EXPLAIN_S)
        if phone is None:
            return not_attached(self.serial, self.device_name, f"cannot {doing}: {error}")
        if not phone.usable:
            return unusable(phone, self.device_name)
        step = next((step for words, step in _NEXT_STEP.items() if words in str(error)), "check the phone")
        return DeviceError(f"device {self.device_name!r}: cannot {doing}: {shown(str(error))}; {step}, then try again")


def _reached_as(phone: Phone) -> str:
    """Its serial, which lasts; where another phone has that too, its transport."""
    twins = [each for each in attached_phones() if each.serial == phone.serial]
    return phone.serial if len(twins) == 1 else f"transport:{phone.transport_id}"


def _attached(serial: str, device_name: str) -> Phone:
    """The phone with that serial; one on the network is connected to once, one that is just coming up is waited for."""
    phone, said = find_phone(serial), ""
    if phone is None and is_network_serial(serial):
        said = _connect(serial)
        phone = find_phone(serial)
    deadline = time.monotonic() + _SETTLE_S
    while phone is not None and phone.is_coming_up and time.monotonic() < deadline:
        time.sleep(0.1)
        phone = find_phone(serial)
    if phone is None:
        raise not_attached(serial, device_name, said)
    return phone


def _connect(serial: str) -> str:
    """What adb says to the attempt; whether it succeeded is seen in the list of phones."""
    try:
        return ask_server(f"host:connect:{serial}", _CONNECT_S).strip()
    except Refusal as error:
        return str(error)
    except LinkError as error:
        raise server_trouble(error) from error


def _all_output(stream: AdbStream, deadline: float) -> bytes:
    """Raises `TimeoutError`."""
    try:
        stream.close_stdin(deadline - time.monotonic())
    except ConnectionError:
        pass  # it has ended already, or the connection has: what follows tells
    parts = []
    while part := stream.read(1 << 20, deadline - time.monotonic()):
        parts.append(part)
    return b"".join(parts)


def _check_place(sync: SyncSession, target: str) -> None:
    """adbd would make the folder, open to everybody; `mv` would put the file into a folder of its name."""
    folder = posixpath.dirname(target)
    if not sync.stat(f"{folder}/.").is_folder:
        raise LinkError(f"there is no folder {shown(folder)} that the shell user may read")
    if sync.stat(f"{target}/.").is_folder:
        raise LinkError("it is a folder")


def _check_path(path: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise InputError(f"a path on a phone is absolute and has no NUL character; got {path!r}")


@contextmanager
def _open_source(path: Path) -> Iterator[io.FileIO]:
    """Raises `DeviceError` as `LocalTransport` does for a file that cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            yield file
    except OSError as error:
        raise DeviceError(f"cannot read {path}: {error.strerror or error}; check the path") from error

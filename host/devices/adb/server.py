"""The adb server of this machine: started if none runs, and asked with a time limit.

Only the adb program in adbutils is used. Its client loses the message of a failed push, does not limit the time of
every read, and starts the first adb on the PATH.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from ...errors import DeviceError, InputError

REPLY_S = 10.0
_HOST = "127.0.0.1"
_START_S = 20.0
_MAX_SERVICE = 0xFFFF  # the length is four hexadecimal digits


class LinkError(Exception):
    """The way to the phone failed; the text says how, as half a sentence."""


class Refusal(LinkError):
    """The adb server, or adbd on the phone, said no; the text is its own."""


class ServerConnection:
    """One conversation with the adb server and, from `reach` on, with adbd on a phone; use it as a context manager.

    Every method raises `LinkError`, at the latest after `timeout_s` without a byte.
    """

    def __init__(self, timeout_s: float = REPLY_S) -> None:
        self.port = server_port()
        self.sock = _dial(self.port, timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> ServerConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def reach(self, serial: str) -> None:
        """Talk to the phone of a serial, or of `transport:ID`, from now on.

        It is the rest of the message, so none can be taken for more.
        """
        transport = re.fullmatch(r"transport:([0-9]+)", serial)
        self.request(f"host:transport:{serial}" if transport is None else f"host:transport-id:{transport[1]}")

    def request(self, service: str) -> None:
        """Ask for a service, and wait until it is granted. Raises `Refusal` when it is not."""
        data = os.fsencode(service)
        if len(data) > _MAX_SERVICE:
            raise InputError(
                f"a command for a phone has at most {_MAX_SERVICE} bytes, this one {len(data)}; "
                "pass long arguments in a pushed file"
            )
        self.send(b"%04x" % len(data) + data)
        status = self.receive(4)
        if status == b"FAIL":
            raise Refusal(self.reply())
        if status != b"OKAY":
            raise LinkError(f"the program on port {self.port} is not an adb server: it answered {status!r}")

    def reply(self) -> str:
        """A text with its length in front."""
        length = self.receive(4)
        try:
            size = int(length, 16)
        except ValueError as error:
            raise LinkError(f"the adb server on port {self.port} sent {length!r} as the length of a text") from error
        return self.receive(size).decode(errors="replace")

    def send(self, data: bytes | memoryview) -> None:
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self.broken(error) from error

    def receive(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.sock.recv(size - len(parts))
            except OSError as error:
                raise self.broken(error) from error
            if not part:
                raise LinkError(f"the adb server on port {self.port} closed the connection")
            parts += part
        return bytes(parts)

    def broken(self, error: OSError) -> LinkError:
        if isinstance(error, TimeoutError):
            return LinkError(
                f"the adb server on port {self.port} did not answer for {self.sock.gettimeout() or 0:g} s"
            )
        return LinkError(f"the connection to the adb server on port {self.port} broke ({error.strerror or error})")


def server_port() -> int:
    """$ANDROID_ADB_SERVER_PORT, else 5037. Raises `InputError`."""
    text = os.environ.get("ANDROID_ADB_SERVER_PORT") or "5037"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InputError(f"ANDROID_ADB_SERVER_PORT must be a port from 1 to 65535, got {text!r}; correct or unset it")
    return int(text)


def ask_server(service: str, timeout_s: float = REPLY_S) -> str:
    """The server's answer to a question of its own. Raises `LinkError`."""
    with ServerConnection(timeout_s) as server:
        server.request(service)
        return server.reply()


def server_trouble(error: LinkError) -> DeviceError:
    """The sentence for a server that cannot be talked to."""
    port = server_port()
    return DeviceError(
        f"no answer from adb: {error}; restart it with: adb -P {port} kill-server (if that hangs, end the process "
        f"that this names: ss -ltnp 'sport = :{port}'), then try again"
    )


def _dial(port: int, timeout_s: float) -> socket.socket:
    try:
        return _connected(port, timeout_s)
    except ConnectionRefusedError:
        _start_server(port)
    except OSError as error:
        raise _unreachable(port, error) from error
    try:
        return _connected(port, timeout_s)
    except OSError as error:
        raise _unreachable(port, error) from error


def _connected(port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((_HOST, port), timeout=timeout_s)


def _unreachable(port: int, error: OSError) -> LinkError:
    return LinkError(f"the adb server on port {port} takes no connection ({error.strerror or error})")


def _start_server(port: int) -> None:
    """Only where nothing listens: a running server of another version is never replaced.

    Raises: `DeviceError`.
    """
    program = _adb_program()
    argv = [program, "-P", str(port), "start-server"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_START_S, start_new_session=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _no_start(argv, f"it did not end within {_START_S:g} s") from error
    except OSError as error:
        raise _no_start(argv, error.strerror or str(error)) from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").split("\n")
        raise _no_start(argv, "; ".join(line.strip() for line in said if line.strip())[-600:])


def _no_start(argv: list[str], why: str) -> DeviceError:
    command = shlex.join(argv)
    return DeviceError(f"cannot start the adb server on port {argv[2]}: {why}; see what is wrong with: {command}")


def _adb_program() -> str:
    spec = importlib.util.find_spec("adbutils")  # importing it would read the environment and start nothing we need
    for folder in (spec and spec.submodule_search_locations) or ():
        carried = Path(folder) / "binaries" / "adb"
        if os.access(carried, os.X_OK):
            return str(carried)
    installed = shutil.which("adb")
    if installed is None:
        raise DeviceError("no adb program on this machine; install one with: sudo apt install adb")
    return installed

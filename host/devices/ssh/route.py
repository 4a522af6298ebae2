"""The route to an SSH server: TCP, a tunnel through a jump host, or a ProxyCommand, each with a time limit."""

from __future__ import annotations

import os
import queue
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import Any

import paramiko

from ...errors import DeviceError
from .config import SshTarget


class Deadline:
    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """At least a hundredth, which every wait takes for a time limit."""
        return max(0.01, self._end - time.monotonic())

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._end


def silent(target: SshTarget, what: str, limit_s: float) -> str:
    """The sentence for a host that `what` within its time limit."""
    return (
        f"{target.where} {what} within {limit_s:g} s; check that the device is on and that the network reaches it "
        f"with: ping {target.host}"
    )


def no_ssh(target: SshTarget, said: str) -> str:
    """The sentence for whatever answers in another way than an SSH server does."""
    return (
        f"{target.where} does not speak SSH as expected ({said}); see what it says with: "
        f"{shlex.join(['ssh', '-v', *target.login])}"
    )


def connect(target: SshTarget, deadline: Deadline) -> socket.socket:
    """A connection to one of the host's addresses, tried in turn. Raises `DeviceError`: what the last one said."""
    addresses = _addresses(target, deadline)
    failure: OSError = TimeoutError()
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left_s / (len(addresses) - tried))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # paramiko leaves it off: 49 ms a command
            return sock
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
    raise DeviceError(_unreachable(target, failure, deadline.limit_s)) from failure


def _unreachable(target: SshTarget, error: OSError, limit_s: float) -> str:
    if isinstance(error, TimeoutError):
        return silent(target, "did not answer", limit_s)
    if isinstance(error, ConnectionRefusedError):
        return (
            f"{target.where} refused the connection: no SSH server listens there; "
            "start it on the device with: sudo systemctl start ssh, or correct the port"
        )
    if isinstance(error, ConnectionResetError):
        return no_ssh(target, "it closed the connection")
    return (
        f"there is no route to {target.where} from here ({error.strerror or error}); "
        "check the cable or Wi-Fi of both sides, and the address"
    )


def _addresses(target: SshTarget, deadline: Deadline) -> list[Any]:
    """All addresses of a host name. The system's resolver has no time limit, so it works in a thread of its own."""
    answer: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(list(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:  # the latter for a label that no DNS name has
            answer.put(error)

    threading.Thread(target=ask, name="edgewright-resolve", daemon=True).start()
    try:
        answered = answer.get(timeout=deadline.left_s)
    except queue.Empty:
        raise DeviceError(
            f"the name server said nothing about {target.host!r} within {deadline.limit_s:g} s; "
            "check your network, or use the device's numeric address"
        ) from None
    if isinstance(answered, list):
        return answered
    reason = answered.strerror if isinstance(answered, OSError) else str(answered)
    raise DeviceError(
        f"there is no host named {target.host!r} ({reason}); correct the name, use the device's numeric address, "
        "or give it a HostName in ~/.ssh/config"
    ) from answered


def tunnel(transport: paramiko.Transport, jump: SshTarget, target: SshTarget, deadline: Deadline) -> paramiko.Channel:
    """A connection that a jump host, where we are logged in, makes for us. Raises `DeviceError`."""
    try:
        return transport.open_channel(
            "direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=deadline.left_s
        )
    except paramiko.ChannelException as error:
        forbidden = "it forwards no connections (AllowTcpForwarding no)"
        cause = forbidden if error.code == 1 else f"it does not reach it ({error.text})"
        raise DeviceError(
            f"the jump host {jump.where} does not lead to {target.where}: {cause}; try it by hand with: "
            f"{shlex.join(['ssh', *jump.login, 'nc', '-vz', target.host, str(target.port)])}"
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        unreached = f"was not reached from the jump host {jump.where}"
        raise DeviceError(silent(target, unreached, deadline.limit_s)) from error


class Proxy:
    """A running ProxyCommand, with a socket to it. paramiko's own does not notice when the command has ended."""

    def __init__(self, command: str) -> None:
        self.sock, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],  # text for a shell: the user's own, by ssh_config(5)
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._said.fileno(),
                start_new_session=True,
            )

    def complaint(self) -> str:
        """The last it wrote to stderr."""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 500))
        return self._said.read().decode(errors="replace").strip()

    def close(self) -> None:
        self.sock.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # unreaped, so the number is still ours
        self._process.wait()
        self._said.close()


class StallGuard:
    """A socket as paramiko uses it, which closes itself after `stall_s` without a byte taken.

    paramiko itself would try for ever when a stopped or cut-off peer leaves the buffers full.
    """

    def __init__(self, sock: Any, stall_s: float) -> None:
        self._sock = sock
        self._stall_s = stall_s
        self._stalled_since: float | None = None
        self.recv = sock.recv
        self.settimeout = sock.settimeout
        self.close = sock.close

    def send(self, data: bytes) -> int:
        try:
            sent = int(self._sock.send(data))
        except TimeoutError:
            now = time.monotonic()
            self._stalled_since = self._stalled_since or now
            if now - self._stalled_since > self._stall_s:
                self.close()
                raise ConnectionAbortedError(f"the peer accepted nothing for {self._stall_s:g} s") from None
            raise
        self._stalled_since = None
        return sent

    @property
    def _closed(self) -> bool:
        return bool(self._sock._closed)

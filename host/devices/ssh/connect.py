"""From an address to an authenticated SSH connection: the way there, the host's key, the user's key."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import paramiko

from ...errors import DeviceError, InputError
from ..address import Address
from .config import SshTarget, resolve
from .keys import authenticate
from .known_hosts import HostKey, KnownHosts
from .route import Deadline, Proxy, StallGuard, connect, no_ssh, silent, tunnel

_LOG = "edgewright.ssh"
_MAX_HOPS = 8
_STALL_S = 30.0
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")  # a third more of a file per second
_RSA = ("rsa-sha2-512", "rsa-sha2-256")  # what a host with an ssh-rsa key signs with

logging.getLogger(_LOG).addHandler(logging.NullHandler())  # else paramiko's complaints go to stderr by themselves


class Link:
    """A connection that is logged in, with whatever carries it."""

    def __init__(self, transport: paramiko.Transport, carried_by: ExitStack) -> None:
        self.transport = transport
        self._carried_by = carried_by

    def is_alive(self) -> bool:
        """Whether the connection is up. Its channels end a moment before it does, so wait for that moment."""
        if self.transport.is_active():
            self.transport.join(timeout=0.1)
        return bool(self.transport.is_active())

    def close(self) -> None:
        """Never raises, and may be called again."""
        self._carried_by.close()


@dataclass(frozen=True)
class _Way:
    """Something like a socket that leads to the target's SSH server, and until when it must have led us in."""

    sock: Any
    deadline: Deadline
    proxy: Proxy | None = None


def log_in(address: Address, timeout_s: float) -> Link:
    """Log in to `address`, directly or by the way that `~/.ssh/config` says.

    Every host on the way has `timeout_s`, or its own ConnectTimeout, from the first packet to being logged in.
    Raises: `DeviceError`; `InputError` for a configuration that cannot be used.
    """
    return _log_in(resolve(address), timeout_s, _MAX_HOPS)


def _log_in(target: SshTarget, timeout_s: float, hops_left: int) -> Link:
    with ExitStack() as carried_by:
        way = _way_to(target, timeout_s, hops_left, carried_by)
        known = KnownHosts(target.known_hosts_files)
        transport = paramiko.Transport(StallGuard(way.sock, _STALL_S))
        carried_by.callback(_end, transport)
        _negotiate(transport, target, known, way)
        key = transport.get_remote_server_key()
        known.check(target.key_name, HostKey(key.get_name(), key.asbytes()))
        transport.auth_timeout = way.deadline.left_s
        authenticate(transport, target, way.deadline.left_s)
        return Link(transport, carried_by.pop_all())


def _way_to(target: SshTarget, timeout_s: float, hops_left: int, carried_by: ExitStack) -> _Way:
    limit_s = target.connect_timeout_s or timeout_s
    if target.proxy_jump:
        jump = _last_jump(target, hops_left)
        link = _log_in(jump, timeout_s, hops_left - 1)
        carried_by.callback(link.close)
        deadline = Deadline(limit_s)
        return _Way(tunnel(link.transport, jump, target, deadline), deadline)
    deadline = Deadline(limit_s)
    if target.proxy_command is not None:
        proxy = Proxy(target.proxy_command)
        carried_by.callback(proxy.close)
        return _Way(proxy.sock, deadline, proxy)
    sock = connect(target, deadline)
    carried_by.callback(sock.close)
    return _Way(sock, deadline)


def _last_jump(target: SshTarget, hops_left: int) -> SshTarget:
    """The host before the target. Those before it in the same list are its way; the first goes its own."""
    if hops_left == 0:
        raise InputError(
            f"the way to {target.where} has more than {_MAX_HOPS} jump hosts, which must be a loop; "
            "correct ProxyJump in ~/.ssh/config"
        )
    *before, last = target.proxy_jump
    jump = resolve(last)
    return replace(jump, proxy_jump=tuple(before), proxy_command=None) if before else jump


def _negotiate(transport: paramiko.Transport, target: SshTarget, known: KnownHosts, way: _Way) -> None:
    """Agree on algorithms and keys. The kinds of host key that are known come first: only those can be verified."""
    left_s = way.deadline.left_s
    transport.set_log_channel(_LOG)
    transport.banner_timeout = transport.handshake_timeout = transport.channel_timeout = left_s
    options = transport.get_security_options()
    options.ciphers = tuple(dict.fromkeys([*_FAST_CIPHERS, *options.ciphers]))
    options.key_types = tuple(dict.fromkeys([*_algorithms(known.kinds(target.key_name), options), *options.key_types]))
    try:
        transport.start_client(timeout=left_s)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise DeviceError(_not_negotiated(target, way, error)) from error
    if not transport.initial_kex_done:
        raise DeviceError(_not_negotiated(target, way, TimeoutError()))


def _algorithms(kinds: tuple[str, ...], options: Any) -> Iterator[str]:
    for kind in kinds:
        yield from (name for name in (_RSA if kind == "ssh-rsa" else (kind,)) if name in options.key_types)


def _not_negotiated(target: SshTarget, way: _Way, error: Exception) -> str:
    said = str(error) or "it closed the connection"
    if way.proxy is not None:
        complaint = way.proxy.complaint()
        return (
            f"the ProxyCommand for {target.where}, {target.proxy_command!r}, does not lead to an SSH server: "
            f"{complaint or said}; correct it in ~/.ssh/config, and try it by hand"
        )
    if way.deadline.passed:
        return silent(target, "did not begin to speak SSH", way.deadline.limit_s)
    return no_ssh(target, said)


def _end(transport: paramiko.Transport) -> None:
    transport.packetizer.complete_handshake()  # else its timer would hold up the end of this process
    transport.close()
    if transport.is_alive():
        transport.join(timeout=2.0)

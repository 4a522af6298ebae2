"""The user's keys, from the SSH agent and from files, offered one by one. The user is never asked for anything."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from ...errors import DeviceError
from .config import SshTarget


@dataclass
class _Attempts:
    """What was offered, and what could not be."""

    tried: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def authenticate(transport: paramiko.Transport, target: SshTarget, limit_s: float) -> None:
    """Log `target.user` in. Raises `DeviceError` naming every key that was tried, and the next step."""
    attempts = _Attempts()
    agent = _Agent()
    try:
        if _lets_anybody_in(transport, target):
            return
        _load_agent(agent, target, limit_s, attempts)
        for label, key in _candidates(target, agent, attempts):
            attempts.tried.append(label)
            if _accepts(transport, target, key, attempts):
                return
    finally:
        agent.close()
    raise DeviceError(_refused(target, attempts))


class _Agent(AgentSSH):  # type: ignore[misc]
    """An SSH agent at a given socket, which must answer in time; paramiko's own waits for ever."""

    def open(self, path: Path, limit_s: float) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(limit_s)
            sock.connect(str(path))
            self._connect(sock)
        except BaseException:
            self._conn = None
            sock.close()
            raise

    def close(self) -> None:
        self._close()


def _load_agent(agent: _Agent, target: SshTarget, limit_s: float, attempts: _Attempts) -> None:
    if target.identity_agent is None:
        return
    try:
        agent.open(target.identity_agent, limit_s)
    except (OSError, paramiko.SSHException) as error:
        attempts.skipped.append(f"the SSH agent at {target.identity_agent} ({error})")


def _lets_anybody_in(transport: paramiko.Transport, target: SshTarget) -> bool:
    """Whether the server accepts the user without a key; otherwise it says which methods it accepts."""
    try:
        transport.auth_none(target.user)
    except paramiko.BadAuthenticationType as error:
        if "publickey" in error.allowed_types:
            return False
        raise DeviceError(
            f"{target.where} accepts only {' or '.join(error.allowed_types)} from user {target.user!r}, and edgewright "
            "asks for no passwords; set PubkeyAuthentication yes in the device's /etc/ssh/sshd_config"
        ) from error
    except paramiko.AuthenticationException as error:
        if transport.is_active():
            return False
        raise DeviceError(_cut_off(target, _Attempts())) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise DeviceError(_cut_off(target, _Attempts())) from error
    return True


def _candidates(target: SshTarget, agent: _Agent, attempts: _Attempts) -> Iterator[tuple[str, paramiko.PKey]]:
    """Keys in OpenSSH's order: those of the agent that are also named, the agent's others, then the files."""
    named = {blob for path in target.identity_files if (blob := _public_blob(path)) is not None}
    held = sorted(agent.get_keys(), key=lambda key: key.asbytes() not in named)
    for key in held:
        if key.asbytes() in named or not target.identities_only:
            yield f"{key.comment or key.get_name()} of the SSH agent ({key.fingerprint})", key
    in_agent = {key.asbytes() for key in held}
    for path in target.identity_files:
        if _public_blob(path) not in in_agent and (loaded := _load(path, attempts)) is not None:
            yield str(path), loaded


def _public_blob(path: Path) -> bytes | None:
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        return paramiko.PublicBlob.from_file(str(public)).key_blob  # type: ignore[no-any-return]
    except (OSError, ValueError):
        return None


def _load(path: Path, attempts: _Attempts) -> paramiko.PKey | None:
    try:
        return paramiko.PKey.from_path(path)
    except FileNotFoundError:
        attempts.skipped.append(f"{path} (there is no such file)")
    except (paramiko.PasswordRequiredException, TypeError):  # cryptography's error for a missing passphrase
        attempts.skipped.append(f"{path} (it has a passphrase; unlock it with: {shlex.join(['ssh-add', str(path)])})")
    except (OSError, ValueError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
        attempts.skipped.append(f"{path} ({error})")
    return None


def _accepts(transport: paramiko.Transport, target: SshTarget, key: paramiko.PKey, attempts: _Attempts) -> bool:
    try:
        more = transport.auth_publickey(target.user, key)
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not transport.is_active() or "timeout" in str(error).lower():
            raise DeviceError(_cut_off(target, attempts)) from error
        return False
    if more:
        raise DeviceError(
            f"{target.where} requires {' and '.join(more)} from user {target.user!r} besides a key, and edgewright "
            "asks for nothing; allow this key alone, or open a connection with OpenSSH and use it as ProxyCommand"
        )
    return True


def _cut_off(target: SshTarget, attempts: _Attempts) -> str:
    tried = f" after {_listed(attempts.tried)}" if attempts.tried else ""
    return (
        f"{target.where} ended the login of user {target.user!r}{tried}, or did not answer in time; if it counts too "
        "many keys, name the right one with IdentityFile and IdentitiesOnly yes in ~/.ssh/config"
    )


def _refused(target: SshTarget, attempts: _Attempts) -> str:
    skipped = f"; not usable: {_listed(attempts.skipped)}" if attempts.skipped else ""
    copy = shlex.join(["ssh-copy-id", *target.login])
    if not attempts.tried:
        return (
            f"no key to log in to {target.where} as {target.user!r}{skipped}; make one with: "
            f"ssh-keygen -t ed25519 ; then allow it there with: {copy}"
        )
    return (
        f"{target.where} accepts none of these keys for user {target.user!r}: {_listed(attempts.tried)}{skipped}; "
        f"check the user name, or allow a key there with: {copy}"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names)

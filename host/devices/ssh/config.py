"""Where an ssh URI leads: the URI's own parts first, then what `~/.ssh/config` says about the host."""

from __future__ import annotations

import getpass
import glob
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from ...errors import InputError
from ..address import Address
from .address import parse_ssh

_PORT = 22
_KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
_INCLUDE_DEPTH = 16
_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"


@dataclass(frozen=True)
class SshTarget:
    """One host to log in to. `alias` is its name in the URI, `host` the one to connect to.

    `identity_files` without `identities_only` come after the agent's keys. `proxy_jump` and `proxy_command` are the way
    there; at most one of them is set. `None` for `identity_agent` means there is no agent.
    """

    alias: str
    host: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    identities_only: bool
    identity_agent: Path | None
    known_hosts_files: tuple[Path, ...]
    host_key_alias: str | None
    proxy_jump: tuple[Address, ...]
    proxy_command: str | None
    connect_timeout_s: float | None

    @property
    def where(self) -> str:
        """Host and port, and the alias where it is another name."""
        host = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return host if self.alias == self.host else f"{self.alias} ({host})"

    @property
    def key_name(self) -> str:
        """The name that known_hosts knows this host by."""
        if self.host_key_alias is not None:
            return self.host_key_alias
        return self.host if self.port == _PORT else f"[{self.host}]:{self.port}"

    @property
    def login(self) -> list[str]:
        """The arguments that make OpenSSH's programs reach it."""
        return [*([] if self.port == _PORT else ["-p", str(self.port)]), f"{self.user}@{self.alias}"]


def resolve(address: Address, config_path: Path | None = None) -> SshTarget:
    """What to connect to for `address`. Raises `InputError` for a configuration that cannot be used."""
    path = config_path or Path("~/.ssh/config").expanduser()
    host = str(address.host)
    options = _lookup(path, address, host)
    command, jump = options.get("proxycommand"), str(options.get("proxyjump", "none"))
    return SshTarget(
        alias=host,
        host=options["hostname"],
        port=_number(options, "port", path, 1, 65535) or _PORT,
        user=options.get("user") or getpass.getuser(),
        identity_files=_identity_files(options),
        identities_only=options.get("identitiesonly", "no").lower() == "yes",
        identity_agent=_identity_agent(options),
        known_hosts_files=_known_hosts_files(options),
        host_key_alias=options.get("hostkeyalias"),
        proxy_jump=() if command or jump.lower() == "none" else tuple(_hop(spec, path) for spec in jump.split(",")),
        proxy_command=command,
        connect_timeout_s=_number(options, "connecttimeout", path, 1, 86400),
    )


def _lookup(path: Path, address: Address, host: str) -> dict[str, Any]:
    """The options of `host`; the URI's come first, and the first value of an option counts."""
    explicit = [f"{key} {value}" for key, value in (("User", address.user), ("Port", address.port)) if value]
    text = "\n".join([*explicit, *_lines(path, _INCLUDE_DEPTH)])
    try:
        return dict(paramiko.SSHConfig.from_text(text).lookup(host))
    except (paramiko.SSHException, ValueError, KeyError) as error:
        raise _unusable(path, str(error)) from error


def _lines(path: Path, depth: int) -> list[str]:
    """The lines of a configuration, included files in place; paramiko would pass over `Include`."""
    if depth == 0:
        raise _unusable(path, f"its Include lines are nested more than {_INCLUDE_DEPTH} deep")
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    block, lines = "Host *", []
    for line in text.splitlines():
        keyword, _, value = line.strip().replace("=", " ", 1).partition(" ")
        if keyword.lower() == "include":
            for included in _included(value, path):
                lines += [*_lines(included, depth - 1), block]  # what a block of the included file began ends with it
            continue
        if keyword.lower() in ("host", "match"):
            block = line
        lines.append(line)
    return lines


def _included(patterns: str, path: Path) -> list[Path]:
    """Files that an Include names; relative ones are relative to `~/.ssh`, wherever the including file lies."""
    try:
        words = shlex.split(patterns)
    except ValueError as error:
        raise _unusable(path, f"Include {patterns}: {error}") from error
    base = Path("~/.ssh").expanduser()
    return [Path(name) for word in words for name in sorted(glob.glob(str(base / Path(word).expanduser())))]


def _identity_files(options: dict[str, Any]) -> tuple[Path, ...]:
    named = options.get("identityfile")
    if named is None:
        return tuple(path for name in _KEY_NAMES if (path := Path("~/.ssh").expanduser() / name).exists())
    return tuple(Path(name).expanduser() for name in named if name.lower() != "none")


def _identity_agent(options: dict[str, Any]) -> Path | None:
    named = str(options.get("identityagent", "SSH_AUTH_SOCK"))
    if named.lower() == "none":
        return None
    if named == "SSH_AUTH_SOCK":
        named = "$SSH_AUTH_SOCK"
    expanded = os.path.expandvars(named)
    return None if "$" in expanded or not expanded else Path(expanded).expanduser()


def _known_hosts_files(options: dict[str, Any]) -> tuple[Path, ...]:
    """The user's first: new lines go there. Never the black hole that `UserKnownHostsFile /dev/null` asks for."""
    named = _files(str(options.get("userknownhostsfile", "")))
    own = [path for path in named if str(path) not in ("none", "/dev/null")]
    system = _files(str(options.get("globalknownhostsfile", _SYSTEM_KNOWN_HOSTS)))
    return tuple([*(own or [Path("~/.ssh/known_hosts").expanduser()]), *system])


def _files(names: str) -> list[Path]:
    """Several names, or one with a space in it: paramiko takes away quotes around the whole."""
    names = names.replace("%d", str(Path.home()))
    whole = Path(names).expanduser()
    if names and whole.exists():
        return [whole]
    try:
        words = shlex.split(names)
    except ValueError:  # an apostrophe in a name
        words = names.split()
    return [Path(name).expanduser() for name in words]


def _hop(spec: str, path: Path) -> Address:
    spec = spec.strip()
    try:
        return parse_ssh(spec if spec.startswith("ssh://") else f"ssh://{spec}")
    except InputError as error:
        raise _unusable(path, f"its ProxyJump {spec!r} is not [user@]host[:port]") from error


def _number(options: dict[str, Any], key: str, path: Path, low: int, high: int) -> int | None:
    text = str(options.get(key, "none"))
    if text == "none":
        return None
    value = int(text) if text.isdecimal() else math.nan
    if not low <= value <= high:
        raise _unusable(path, f"its {key} {text!r} is not a number from {low} to {high}")
    return int(value)


def _unusable(path: Path, reason: str) -> InputError:
    return InputError(f"cannot use the SSH configuration {path}: {reason}; correct that file, then try again")

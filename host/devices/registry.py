"""The devices a workspace knows, kept in its devices.json. A device named `local` always exists."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import InputError
from ..files import write_atomic
from .file_lock import file_lock

_SCHEMA = 1
_LOCK_S = 10.0
_FORMS = "local: · ssh://[user@]host[:port] · adb://[SERIAL]"
# None of these can be taken for an option or a path; a serial of wireless debugging has spaces and brackets in it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,254}\Z")
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:()\[\] -]{0,127}\Z")


@dataclass(frozen=True)
class Address:
    """A parsed URI: `scheme` is local, ssh or adb; what a scheme does not have, or a URI leaves open, is None.

    An ssh `host` may be an alias of `~/.ssh/config`. Without a `serial`, adb means the only phone attached.
    """

    scheme: str
    host: str | None = None
    user: str | None = None
    port: int | None = None
    serial: str | None = None


def parse_uri(uri: str) -> Address:
    """Raises `InputError` for anything but the three forms, saying which part is wrong."""
    if not uri.isprintable():  # urlsplit would drop such characters in silence
        raise InputError(f"a device URI has no control characters; got {uri!r}, and it is one of {_FORMS}")
    scheme, separator, rest = uri.partition(":")
    if separator and scheme == "local" and not rest:
        return Address("local")
    if scheme == "adb" and rest.startswith("//"):
        return Address("adb", serial=_checked("serial", rest[2:], _SERIAL, uri) if rest != "//" else None)
    if scheme == "ssh" and rest.startswith("//"):
        return _parse_ssh(uri)
    raise InputError(f"a device URI is one of {_FORMS}; got {uri!r}")


def _parse_ssh(uri: str) -> Address:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{uri!r} is no ssh URI ({error}); write ssh://[user@]host[:port]") from error
    if port == 0 or parts.path or parts.query or parts.fragment or parts.password is not None:
        raise InputError(f"an ssh URI has a user, a host and a port from 1 to 65535, and nothing else; got {uri!r}")
    user = None if parts.username is None else _checked("user", parts.username, _USER, uri)
    return Address("ssh", host=_checked("host", _host_as_written(parts.netloc), _HOST, uri), user=user, port=port)


def _host_as_written(netloc: str) -> str:
    """In upper and lower case as it stands in the URI: the aliases of `~/.ssh/config` tell them apart."""
    host = netloc.rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _checked(part: str, value: str, pattern: re.Pattern[str], uri: str) -> str:
    if not pattern.match(value):
        raise InputError(
            f"the {part} {value!r} of device URI {uri!r} is empty or has characters no {part} has; use {_FORMS}"
        )
    return value


@dataclass(frozen=True)
class Device:
    """A name and where it leads."""

    name: str
    uri: str

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise InputError(
                f"a device name has at most 64 letters, digits, '.', '_' and '-', the first a letter or digit; "
                f"got {self.name!r}"
            )
        parse_uri(self.uri)

    @property
    def address(self) -> Address:
        return parse_uri(self.uri)


LOCAL = Device("local", "local:")


class Registry:
    """Reads devices.json at every call and replaces it atomically at every change."""

    def __init__(self, workspace_dir: Path) -> None:
        self.path = workspace_dir / "devices.json"

    def list(self) -> tuple[Device, ...]:
        """`local` first, the others by name. Raises `InputError` for a file that is no registry."""
        added = self._read()
        return (LOCAL, *(added[name] for name in sorted(added)))

    def get(self, name: str) -> Device:
        """Raises `InputError` with the nearest names when there is no such device."""
        devices = {device.name: device for device in self.list()}
        if name not in devices:
            raise InputError(self._unknown(name, list(devices)))
        return devices[name]

    def add(self, name: str, uri: str) -> Device:
        """Raises `InputError` for a bad name or URI, and for a name that leads elsewhere already."""
        device = Device(name, uri)
        with self._alone():
            known = {found.name: found for found in self.list()}.get(name)
            if known is not None and known != device:
                raise InputError(
                    f"device {name!r} is {known.uri} already; choose another name, or: edgewright device remove {name}"
                )
            if known is None:
                self._write({**self._read(), name: device})
        return device

    def remove(self, name: str) -> Device:
        """Raises `InputError` for an unknown name and for `local`, which always exists."""
        device = self.get(name)
        if device.name == LOCAL.name:
            raise InputError("device 'local' is this machine and always exists; it cannot be removed")
        with self._alone():
            self._write({known: value for known, value in self._read().items() if known != name})
        return device

    def _alone(self) -> AbstractContextManager[None]:
        """No other command changes the file meanwhile."""
        return file_lock(self.path.with_suffix(".lock"), _LOCK_S)

    def _unknown(self, name: str, known: Sequence[str]) -> str:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        return (
            f"no device named {name!r}; {guess}known: {', '.join(known)}; "
            f"add one with: edgewright device add NAME URI ({_FORMS})"
        )

    def _read(self) -> dict[str, Device]:
        try:
            content = json.loads(self.path.read_text())
            return _devices_of(content)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} is no device registry ({error}); mend it, or remove it and add the devices again"
            ) from error

    def _write(self, devices: Mapping[str, Device]) -> None:
        content = {"schema": _SCHEMA, "devices": {name: device.uri for name, device in sorted(devices.items())}}
        write_atomic(self.path, (json.dumps(content, indent=2) + "\n").encode())


def _devices_of(content: Any) -> dict[str, Device]:
    if content["schema"] != _SCHEMA:
        raise ValueError(f"it has schema {content['schema']!r}, this version reads {_SCHEMA}")
    return {name: Device(name, uri) for name, uri in content["devices"].items() if name != LOCAL.name}

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

from ..errors import InputError
from ..file_lock import file_lock
from ..files import write_atomic
from .address import Address
from .transports import TRANSPORTS, TransportKind, forms

_SCHEMA = 1
_LOCK_S = 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")  # can be taken for no option and no path


def parse_uri(uri: str) -> Address:
    """The address of a URI of any transport. Raises `InputError`, saying which part is wrong and what works."""
    kind = _kind_of(uri)
    try:
        return kind.parse(uri)
    except InputError as error:
        raise InputError(f"{error}; a device URI is one of {forms()}") from error


def settled_uri(uri: str) -> str:
    """The URI as it is kept; raises as `TransportKind.settled` does."""
    parse_uri(uri)
    return _kind_of(uri).settled(uri)


def _kind_of(uri: str) -> TransportKind:
    if not uri.isprintable():  # parsers of URIs would drop such characters in silence
        raise InputError(f"a device URI has no control characters; got {uri!r}, and it is one of {forms()}")
    scheme, separator, _ = uri.partition(":")
    if not separator or scheme not in TRANSPORTS.names:
        raise InputError(f"a device URI is one of {forms()}; got {uri!r}")
    return TRANSPORTS.get(scheme)


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

    @property
    def kind(self) -> TransportKind:
        return TRANSPORTS.get(self.address.scheme)


LOCAL = Device("local", "local:")


class Registry:
    """Reads devices.json at every call and replaces it atomically at every change."""

    def __init__(self, workspace_dir: Path) -> None:
        self.path = workspace_dir / "devices.json"

    def list(self) -> tuple[Device, ...]:
        """`local` first, the others by name. Raises `InputError` for a file that is not a registry."""
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
        """Keep other commands from changing the file."""
        return file_lock(self.path.with_suffix(".lock"), _LOCK_S)

    def _unknown(self, name: str, known: Sequence[str]) -> str:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        guess = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        return (
            f"no device named {name!r}; {guess}known: {', '.join(known)}; "
            f"add one with: edgewright device add NAME URI ({forms()})"
        )

    def _read(self) -> dict[str, Device]:
        try:
            content = json.loads(self.path.read_text())
            return _devices_of(content)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} is not a device registry ({error}); correct it, or remove it and add the devices again"
            ) from error

    def _write(self, devices: Mapping[str, Device]) -> None:
        content = {"schema": _SCHEMA, "devices": {name: device.uri for name, device in sorted(devices.items())}}
        write_atomic(self.path, (json.dumps(content, indent=2) + "\n").encode())


def _devices_of(content: Any) -> dict[str, Device]:
    if content["schema"] != _SCHEMA:
        raise ValueError(f"it has schema {content['schema']!r}, this version reads {_SCHEMA}")
    return {name: Device(name, uri) for name, uri in content["devices"].items() if name != LOCAL.name}

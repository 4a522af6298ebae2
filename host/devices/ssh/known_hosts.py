"""Checks a host's key against known_hosts. No key is ever added automatically."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DeviceError, InputError

_MARKERS = ("@revoked", "@cert-authority")
_HOST_AND_PORT = re.compile(r"\[(.*)\]:[0-9]+\Z")
_FILE_OF_KEY_TYPE = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


@dataclass(frozen=True)
class HostKey:
    """A host's public key as it goes over the wire; `kind` is its name there, e.g. ssh-ed25519."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True)
class KnownLine:
    """One usable line of a known_hosts file. `marker` is empty, @revoked or @cert-authority."""

    marker: str
    patterns: tuple[str, ...]
    key: HostKey
    path: Path
    number: int

    @property
    def where(self) -> str:
        return f"{self.path}:{self.number}"

    def matches(self, name: str) -> bool:
        """Whether it speaks of `name`; a pattern with ! takes out what others of the line let in."""
        is_known = False
        for pattern in self.patterns:
            refused = pattern.startswith("!")
            if _matches(pattern[refused:], name.lower()):
                if refused:
                    return False
                is_known = True
        return is_known


class KnownHosts:
    """What known_hosts files say. Lines that cannot be read are passed over, one by one, as OpenSSH does."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """`paths`: the first is the one that new lines go to. Raises `InputError` when one cannot be read."""
        self.paths = tuple(paths)
        self._lines = tuple(line for path in paths for line in _read(path))

    def kinds(self, name: str) -> tuple[str, ...]:
        """The kinds of keys that are known for a host, in the order of the files."""
        lines = self._of(name, "") or self._of_bare_host(name, "")
        return tuple(dict.fromkeys(line.key.kind for line in lines))

    def check(self, name: str, offered: HostKey) -> None:
        """Raises `DeviceError`, saying what to do, unless `offered` is known for `name` and not revoked."""
        for line in [*self._of(name, "@revoked"), *self._of_bare_host(name, "@revoked")]:
            if line.key == offered:
                raise DeviceError(_revoked(name, offered, line))
        known = self._of(name, "")
        if any(line.key == offered for line in known or self._of_bare_host(name, "")):
            return
        if known:
            raise DeviceError(_changed(name, offered, known))
        raise DeviceError(_unknown(name, offered, self.paths[0], self._of(name, "@cert-authority")))

    def _of(self, name: str, marker: str) -> list[KnownLine]:
        return [line for line in self._lines if line.marker == marker and line.matches(name)]

    def _of_bare_host(self, name: str, marker: str) -> list[KnownLine]:
        """Lines for the host of `[host]:port`: as with OpenSSH its key is good for all ports without their own."""
        bare = _HOST_AND_PORT.match(name)
        return [] if bare is None else self._of(bare[1], marker)


def _read(path: Path) -> list[KnownLine]:
    try:
        text = path.read_text(errors="surrogateescape")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"cannot read the known hosts in {path}: {error.strerror or error}; make it a file you may read"
        ) from error
    lines = (_parse(line, path, number) for number, line in enumerate(text.splitlines(), 1))
    return [line for line in lines if line is not None]


def _parse(text: str, path: Path, number: int) -> KnownLine | None:
    words = text.split()
    marker = words.pop(0) if words and words[0] in _MARKERS else ""
    if len(words) < 3 or words[0].startswith(("#", "@")):
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except binascii.Error:
        return None
    return KnownLine(marker, tuple(words[0].split(",")), HostKey(words[1], blob), path, number)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _matches_hash(pattern, name)
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))  # brackets are only brackets here


def _matches_hash(pattern: str, name: str) -> bool:
    """`|1|salt|hash`, written by `HashKnownHosts yes`."""
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(errors="surrogateescape"), "sha1"), digest)


def _look_at_it(kind: str) -> str:
    name = _FILE_OF_KEY_TYPE.get(kind, kind.partition("-")[0])
    return f"ssh-keygen -lf /etc/ssh/ssh_host_{name}_key.pub"


def _unknown(name: str, offered: HostKey, path: Path, authorities: Sequence[KnownLine]) -> str:
    unused = f"; the certificate authority at {authorities[0].where} is not used" if authorities else ""
    return (
        f"the host key of {name} is not known yet; it is {offered}{unused}; compare that with what the device itself "
        f"prints for: {_look_at_it(offered.kind)} ; if they are equal, add this line to {path}: {name} {offered.line}"
    )


def _changed(name: str, offered: HostKey, known: Iterable[KnownLine]) -> str:
    expected = " or ".join(f"{line.key} ({line.where})" for line in known)
    path = next(iter(known)).path
    return (
        f"the host key of {name} has changed: expected {expected}, got {offered}; either the device was set up anew "
        f"or somebody else answers in its place; look at the key on the device with: {_look_at_it(offered.kind)} ; "
        f"only if that prints {offered.fingerprint}, remove the old line with: "
        f"{shlex.join(['ssh-keygen', '-R', name, '-f', str(path)])} ; then connect again to be shown the new one"
    )


def _revoked(name: str, offered: HostKey, line: KnownLine) -> str:
    return (
        f"the host key of {name}, {offered}, is marked as revoked at {line.where}; do not connect to it: give the "
        "device a new host key, and find out from whoever wrote that line why the old one was revoked"
    )

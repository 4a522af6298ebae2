"""ssh:// URIs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ...errors import InputError
from ..address import Address, checked_part

FORM = "ssh://[user@]host[:port]"
# None of these can be taken for an option or a path.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,254}\Z")


def parse_ssh(uri: str) -> Address:
    """Raises `InputError`, saying which part is wrong."""
    if not uri.startswith("ssh://"):
        raise InputError(f"{uri!r} is not an ssh URI; write {FORM}")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{uri!r} is not an ssh URI ({error}); write {FORM}") from error
    if port == 0 or parts.path or parts.query or parts.fragment or parts.password is not None:
        raise InputError(f"an ssh URI has a user, a host and a port from 1 to 65535, and nothing else; got {uri!r}")
    user = None if parts.username is None else checked_part("user", parts.username, _USER, uri)
    return Address("ssh", host=checked_part("host", _host_as_written(parts.netloc), _HOST, uri), user=user, port=port)


def _host_as_written(netloc: str) -> str:
    """In upper and lower case as it stands in the URI: the aliases of `~/.ssh/config` tell them apart."""
    host = netloc.rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]

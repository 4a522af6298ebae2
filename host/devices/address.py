"""Where a device is: a URI, parsed by the transport whose scheme it has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Address:
    """A parsed URI; what a scheme does not have, or a URI leaves open, is None.

    An ssh `host` may be an alias of `~/.ssh/config`. Without a `serial`, adb means the only phone attached. `path` is
    for transports of other packages.
    """

    scheme: str
    host: str | None = None
    user: str | None = None
    port: int | None = None
    serial: str | None = None
    path: str | None = None


def checked_part(part: str, value: str, pattern: re.Pattern[str], uri: str) -> str:
    """`value`, which is a part of `uri`. Raises `InputError` where it does not match."""
    if not pattern.match(value):
        raise InputError(f"the {part} {value!r} of device URI {uri!r} is empty or has characters no {part} has")
    return value

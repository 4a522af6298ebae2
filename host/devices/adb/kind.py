"""ADB, as the registry of transports knows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from ..address import Address, checked_part

if TYPE_CHECKING:
    from .transport import AdbTransport

_PREFIX = "adb://"
# A serial of wireless debugging has spaces and brackets in it; none can be taken for an option or a path.
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:()\[\] -]{0,127}\Z")


class AdbKind:
    form = "adb://[SERIAL | model:NAME | transport:ID]"

    def parse(self, uri: str) -> Address:
        serial = uri.removeprefix(_PREFIX)
        if serial == uri:
            raise InputError(f"{uri!r} is not an adb URI; write {self.form}")
        return Address("adb", serial=checked_part("serial", serial, _SERIAL, uri) if serial else None)

    def settled(self, uri: str) -> str:
        """`adb://` alone means the only phone there is: its serial is written down, so that it stays this one."""
        if uri != _PREFIX:
            return uri
        from .phones import choose_serial

        return f"{_PREFIX}{choose_serial()}"

    def connect(self, address: Address, device_name: str, workspace_dir: Path) -> AdbTransport:
        from .transport import connect_adb

        return connect_adb(address, device_name)

    def own_python(self) -> None:
        return None


ADB_KIND = AdbKind()

"""SSH, as the registry of transports knows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..address import Address
from .address import FORM, parse_ssh

if TYPE_CHECKING:
    from .transport import SshTransport


class SshKind:
    form = FORM

    def parse(self, uri: str) -> Address:
        return parse_ssh(uri)

    def settled(self, uri: str) -> str:
        return uri

    def connect(self, address: Address, device_name: str, workspace_dir: Path) -> SshTransport:
        from .transport import connect_ssh

        return connect_ssh(address, device_name)

    def own_python(self) -> None:
        return None


SSH_KIND = SshKind()

"""Transports by the scheme of a device's URI: the built-in ones, and those of installed packages."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..plugins import Guests
from .address import Address
from .transport import Transport


class TransportKind(Protocol):
    """One way to devices."""

    @property
    def form(self) -> str:
        """How its URIs look, for people, such as "ssh://[user@]host[:port]"."""
        ...

    def parse(self, uri: str) -> Address:
        """A URI of the scheme. Raises `InputError`, saying which part is wrong."""
        ...

    def settled(self, uri: str) -> str:
        """The URI as it is kept: what it leaves open is decided when the device is added.

        Raises `InputError` where it is not clear which device is meant, `DeviceError` where there is none.
        """
        ...

    def connect(self, address: Address, device_name: str, workspace_dir: Path) -> Transport:
        """Raises `DeviceError` when the device cannot be reached or does not let us in."""
        ...

    def own_python(self) -> str | None:
        """The Python that runs the agent there without being deployed, on this machine; None where it is deployed."""
        ...


TRANSPORTS: Guests[TransportKind] = Guests(
    "edgewright.transports",
    "transport",
    {
        "local": "edgewright.devices.local:LOCAL_KIND",
        "ssh": "edgewright.devices.ssh.kind:SSH_KIND",
        "adb": "edgewright.devices.adb.kind:ADB_KIND",
    },
)


def forms() -> str:
    """How URIs look, for a sentence."""
    return " · ".join(TRANSPORTS.get(name).form for name in TRANSPORTS.names)

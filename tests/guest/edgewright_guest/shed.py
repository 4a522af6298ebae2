"""A transport whose devices are folders of this machine, `shed:///path`: as a board in a shed would be reached."""

import sys
from pathlib import Path

from edgewright.devices.address import Address
from edgewright.devices.local import LocalTransport
from edgewright.errors import DeviceError, InputError


class ShedKind:
    form = "shed:///FOLDER"

    def parse(self, uri):
        path = uri.removeprefix("shed://")
        if path == uri or not path.startswith("/"):
            raise InputError(f"{uri!r} names no folder; write {self.form}")
        return Address("shed", path=path)

    def settled(self, uri):
        return uri

    def connect(self, address, device_name, workspace_dir):
        if not Path(address.path).is_dir():
            raise DeviceError(f"device {device_name!r}: there is no shed at {address.path}")
        folder = Path(address.path) / "agent"
        folder.mkdir(exist_ok=True)
        return LocalTransport(folder)

    def own_python(self):
        return sys.executable


SHED = ShedKind()

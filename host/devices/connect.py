"""From a device's name to a transport, and to a session with the agent that is deployed there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceError
from .deployment.zipapp import cached_agent
from .logged import LoggedTransport
from .registry import Device
from .session.agent import AgentSession
from .session.link import SessionLimits

if TYPE_CHECKING:
    from .transport import Stream, Transport


def connect(device: Device, workspace_dir: Path) -> Transport:
    """A transport to `device`; close it. Raises `DeviceError` when it cannot be reached or does not let us in."""
    return LoggedTransport(device.kind.connect(device.address, device.name, workspace_dir), device.name)


def open_session(device: Device, workspace_dir: Path, limits: SessionLimits | None = None) -> AgentSession:
    """Start the agent on `device` and greet it.

    The local agent lives in `<workspace>/agent`, a folder for this user only, and is put there when it is missing;
    on other devices it has to be deployed first. Deliveries are in `home/artifacts` of the agent's folder.
    Raises: `DeviceError`; `StorageError` when the local folder cannot be written.
    """
    return AgentSession.over(_AgentConnection(device, workspace_dir), device.name, limits)


def own_python(device: Device) -> str | None:
    """The Python that the agent gets on this machine, the one of the host; None on any other device."""
    return device.kind.own_python()


class _AgentConnection:
    """Starts the deployed agent, over a new transport each time: of one that failed nothing is known."""

    def __init__(self, device: Device, workspace_dir: Path) -> None:
        self._device = device
        self._workspace_dir = workspace_dir
        self._transport: Transport | None = None

    def open(self) -> Stream:
        self.close()
        self._transport = connect(self._device, self._workspace_dir)
        return self._transport.open_stream(self._argv(self._transport))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _argv(self, transport: Transport) -> list[str]:
        own = own_python(self._device)
        if own is not None:
            agent = cached_agent(Path(transport.agent_dir))
            # Workspaces have agents of their own on this machine, and it can measure one model at a time.
            lock = Path(tempfile.gettempdir(), f"edgewright-{os.getuid()}.lock")
            return [own, str(agent), "--home", f"{transport.agent_dir}/home", "--lock", str(lock)]
        from .deployment.deploy import agent_argv
        from .deployment.record import read_deployment

        deployment = read_deployment(transport, self._device.name)
        if deployment is None:
            raise DeviceError(
                f"there is no agent on device {self._device.name!r} yet; put it there once with: "
                f"edgewright agent deploy {self._device.name}"
            )
        return agent_argv(transport, deployment, self._device.name)

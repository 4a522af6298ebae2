"""What was deployed on a device, according to its deployed.json. The file comes from the device, so it is not trusted
where a false entry could do harm."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DeviceError
from ...files import write_atomic

if TYPE_CHECKING:
    from ..transport import Transport

_FILE = "deployed.json"
_SCHEMA = 1
_COMMAND_S = 60.0
_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


@dataclass(frozen=True)
class Deployment:
    """What a device's deployed.json says was deployed. `argv` starts the Python; `bundle` is a folder's name."""

    agent: str
    agent_sha256: str
    agent_version: str
    protocol: int
    argv: tuple[str, ...]
    runtime: str | None
    runtime_version: str | None
    reason: str
    bundle: str | None = None
    forced_runtime: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"schema": _SCHEMA, **asdict(self), "argv": list(self.argv)}

    @classmethod
    def from_json(cls, data: Any) -> Deployment:
        """Raises `ValueError` for what this version did not write."""
        if not isinstance(data, dict) or data.get("schema") != _SCHEMA:
            raise ValueError(f"it has schema {data.get('schema') if isinstance(data, dict) else data!r}")
        fields = {name: value for name, value in data.items() if name != "schema"}
        try:
            deployment = cls(**{**fields, "argv": tuple(str(word) for word in fields["argv"])})
        except (TypeError, KeyError) as error:
            raise ValueError(str(error)) from error
        for name in (deployment.agent, deployment.bundle or ""):
            if not isinstance(name, str) or set(name) - set(_SAFE) or name.startswith("."):
                raise ValueError(f"{name!r} is not a valid file name")
        return deployment


def read_deployment(transport: Transport, device_name: str) -> Deployment | None:
    """What is deployed; None if nothing is. Raises `DeviceError` when it cannot be understood."""
    path = f"{transport.agent_dir}/{_FILE}"
    done = transport.run(["cat", path], _COMMAND_S)
    if done.returncode != 0:
        return None
    try:
        return Deployment.from_json(json.loads(done.stdout))
    except ValueError as error:
        raise DeviceError(
            f"{path} on device {device_name!r} was written by another version ({error}); deploy this version with: "
            f"edgewright agent remove {device_name} && edgewright agent deploy {device_name}"
        ) from error


def write_deployment(transport: Transport, deployment: Deployment) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / _FILE
        write_atomic(local, json.dumps(deployment.to_json(), indent=2).encode())
        transport.push(local, f"{transport.agent_dir}/{_FILE}", 0o600)

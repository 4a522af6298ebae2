"""The file beside a delivered model: what the model is, its measured cost, and how to read its outputs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import write_atomic

SUFFIX = ".manifest.json"
FORMAT, VERSION = "edgewright-artifact", 1
_PACKAGES = ("edgewright", "torch", "timm", "litert-torch", "ai-edge-quantizer", "ai-edge-litert", "numpy")


def manifest_path(model: Path) -> Path:
    return model.with_name(model.name + SUFFIX)


def heading() -> dict[str, Any]:
    """What every manifest begins with."""
    created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"format": FORMAT, "version": VERSION, "created_at": created_at}


def versions() -> dict[str, str]:
    """Of the packages that made the model."""
    return {**{name: version(name) for name in _PACKAGES}, "python": platform.python_version()}


def write_manifest(model: Path, manifest: Mapping[str, Any]) -> None:
    """Raises `StorageError`."""
    write_atomic(manifest_path(model), json.dumps(manifest, indent=1).encode())


def read_manifest(path: Path) -> dict[str, Any]:
    """Raises `InputError` for a file that is missing or no manifest."""
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"no manifest {path}, which says how to read the model; copy it there from where the model was made"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read manifest {path}: {error.strerror or error}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"manifest {path} is not a JSON file ({error}); copy it again, with its model") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{path} is not the manifest of a model; copy the right one there, or make the model again")
    return manifest

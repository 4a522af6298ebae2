"""Chooses the runtime for a model by the model's format.

A .tflite file goes to the first TFLite runtime that works, in the order of `TFLITE_RUNTIMES`, or to the one requested;
a zip archive (torch.export's .pt2, TorchScript) goes to torch. Imports heavy packages only when they are needed.
"""

from __future__ import annotations

import gc
from typing import Any

from ..isolation import Wait, plain_wait, run_isolated
from .base import (
    AS_IT_IS,
    PACKAGES,
    TFLITE_RUNTIMES,
    Call,
    LoadedModel,
    ModelLoadError,
    Runtime,
    RuntimeMissing,
    installed_version,
    is_installed,
)
from .tflite import find_tflite
from .torch import import_torch

_TORCH_IMPORT_S = 300.0
_TORCH_IMPORT_MIB = 16384.0


class UnknownFormat:
    """Stands in for a runtime when the format is unknown: loading fails, as it does for a corrupt model."""

    name = "none"
    version: str | None = None

    def accepts(self, content: bytes) -> bool:
        return True

    def load(self, content: bytes, threads: int, call: Call = AS_IT_IS) -> LoadedModel:
        raise ModelLoadError(
            f"{len(content)} bytes that are neither a .tflite file nor a zip archive of torch "
            f"(they start with {content[:8]!r}); push a .tflite, a .pt2 or a TorchScript file"
        )


class Runtimes:
    """The runtimes of this Python. The agent imports them before it forks, so that its children share them."""

    def __init__(self, tflite_name: str | None = None) -> None:
        """`tflite_name` selects one of `TFLITE_RUNTIMES`; by default, the first that works is used."""
        self._errors: dict[str, str] = {}
        self._versions = {name: installed_version(name) for name in PACKAGES if is_installed(name)}
        self._torch: Runtime | None = None
        self.tflite: Runtime | None = None
        self.tflite_error: str | None = None
        try:
            self.tflite = find_tflite(TFLITE_RUNTIMES if tflite_name is None else (tflite_name,), self._errors)
        except RuntimeMissing as error:
            self.tflite_error = str(error)

    def summary(self) -> dict[str, Any]:
        """The runtimes, as hello and facts report them.

        `runtime`, `runtime_version` and `runtime_error` are about the TFLite runtime in use; `runtimes` maps each that
        is installed to {"version", "error"}, where the error is known only for runtimes that were tried.
        """
        return {
            "runtime": None if self.tflite is None else self.tflite.name,
            "runtime_version": None if self.tflite is None else self.tflite.version,
            "runtime_error": self.tflite_error,
            "runtimes": {
                name: {"version": version, "error": self._errors.get(name)} for name, version in self._versions.items()
            },
        }

    def for_model(self, content: Any, wait: Wait = plain_wait) -> Runtime:
        """The runtime for a model, chosen by its first bytes. `content` is bytes or an array of uint8.

        Raises: `RuntimeMissing` when there is none for this format; and what `wait` raises.
        """
        start = bytes(content[:8])
        if start[4:8] == b"TFL3":
            if self.tflite is None:
                raise RuntimeMissing(str(self.tflite_error))
            return self.tflite
        if start[:4] == b"PK\3\4":
            return self._need_torch(wait)
        return UnknownFormat()

    def _need_torch(self, wait: Wait) -> Runtime:
        if self._torch is None:
            if "torch" not in self._errors:
                self._try_torch(wait)
            if self._torch is None:
                raise RuntimeMissing(
                    f"torch cannot be imported ({self._errors['torch']}); install it with: pip install torch"
                )
        return self._torch

    def _try_torch(self, wait: Wait) -> None:
        """Import torch in a child first: a broken installation may crash it, and the file cache is warm afterwards.

        The agent's own import is then fast enough that the host does not take the agent for dead.
        """
        if not is_installed("torch"):
            self._errors["torch"] = "it is not installed"
            return
        trial = run_isolated(
            lambda: ({"version": import_torch().version}, b""), _TORCH_IMPORT_S, _TORCH_IMPORT_MIB, wait
        )
        if trial.error is not None:
            self._errors["torch"] = trial.error["message"]
            return
        self._torch = import_torch()
        gc.collect()
        gc.freeze()  # exempt the imported objects from the children's collections too

"""The one folder that holds what Edgewright keeps: registry, store, templates, artifacts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .files import make_dir

ENVIRONMENT_VARIABLE = "EDGEWRIGHT_WORKSPACE"
DEFAULT_NAME = "edgewright-workspace"


@dataclass(frozen=True)
class Workspace:
    """Paths inside a workspace. Nothing is created before it is needed."""

    root: Path

    @classmethod
    def find(cls, given: Path | None = None) -> Workspace:
        """`given`, else `$EDGEWRIGHT_WORKSPACE`, else `./edgewright-workspace`."""
        return cls(Path(given or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_NAME).absolute())

    @property
    def store(self) -> Path:
        """The SQLite store; its folder exists. Raises `StorageError` where that cannot be."""
        return make_dir(self.root) / "measurements.sqlite"

    @property
    def templates(self) -> Path:
        return self.root / "templates"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def predictors(self) -> Path:
        return self.root / "predictors"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def locks(self) -> Path:
        """Locks of the devices and templates in use."""
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        """What went over the link in commands that failed."""
        return self.root / "logs"

    @property
    def colours(self) -> Path:
        """Colours of annotated objects, found once."""
        return self.root / "colours"

    @property
    def decoded(self) -> Path:
        """Images of data sets, decoded once, and how their files are stored."""
        return self.root / "letterboxed"

    @property
    def images(self) -> Path:
        """Fingerprints of labelled images, and their pixels, decoded once."""
        return self.root / "images"

    @property
    def bundles(self) -> Path:
        return self.root / "bundles"

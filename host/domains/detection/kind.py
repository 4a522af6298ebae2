"""Attributed detection, as the registry knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tables import read_table
from .domain import AttrOd
from .objective import DetectionObjective
from .settings import DetectionSettings


class AttrOdKind:
    name = "attrod"

    def settings(self, table: Mapping[str, Any]) -> DetectionSettings:
        return read_table(DetectionSettings, table, f"domain {self.name!r}")

    def objective(self, domain: AttrOd, settings: DetectionSettings) -> DetectionObjective:
        return DetectionObjective(domain, settings)


ATTROD = AttrOdKind()

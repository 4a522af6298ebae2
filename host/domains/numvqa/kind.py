"""NumVQA, as the registry knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tables import read_table
from .domain import NumVqa
from .objective import NumVqaObjective
from .settings import NumVqaSettings


class NumVqaKind:
    name = "numvqa"

    def settings(self, table: Mapping[str, Any]) -> NumVqaSettings:
        return read_table(NumVqaSettings, table, f"domain {self.name!r}")

    def objective(self, domain: NumVqa, settings: NumVqaSettings) -> NumVqaObjective:
        return NumVqaObjective(domain, settings)


NUMVQA = NumVqaKind()

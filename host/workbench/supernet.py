"""One trained supernet of a workspace: its tasks, its data, and the templates that subnets are cut out of."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..workspace import Workspace
from .data import Say, domain_of

if TYPE_CHECKING:
    from edgewright.converters.precision import Precision
    from edgewright.device_agent.template import Template

    from ..assembler.archive import TrainedSupernet
    from ..tasks import Task
    from ..tasks.domain import TaskDomain


class SupernetBench:
    """A supernet in one precision; `Workbench.supernet` makes one. Templates are built, and data opened, at first use.

    Models are cut out of `template`, which is float32; campaigns measure slices of `profiled`, which is in the
    precision asked for.
    """

    def __init__(
        self,
        named: Path | None,
        place: Workspace,
        say: Say,
        precision: Precision,
        data: Path | None = None,
        mnist: Path | None = None,
    ) -> None:
        from ..assembler.archive import TrainedSupernet
        from ..shipped import find_supernet

        self.named, self.precision = named, precision
        self._place, self._say, self._data, self._mnist = place, say, data, mnist
        self.trained: TrainedSupernet = TrainedSupernet.load(find_supernet(named))

    def task(self, text: str) -> Task:
        """Raises `InputError` for an attribute the supernet does not know, and a task outside its space."""
        return self.trained.tasks.parse(text)

    @cached_property
    def domain(self) -> TaskDomain:
        """The data that models are judged by. Raises `InputError` where they are missing."""
        return domain_of(self.trained, self._place, self._say, self._data, self._mnist)

    @cached_property
    def template(self) -> Template:
        from ..customize.templates import load_or_build

        return load_or_build(self.trained, self._place.templates, self._say)

    @cached_property
    def profiled(self) -> Template:
        from edgewright.converters.precision import Precision

        from ..customize.templates import load_or_build

        if self.precision is Precision.FLOAT32:
            return self.template
        return load_or_build(self.trained, self._place.templates, self._say, self.precision, self.domain)

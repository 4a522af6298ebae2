"""One trained supernet of a workspace: its tasks, its data, and the templates that subnets are cut out of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..workspace import Workspace
from .data import Say

if TYPE_CHECKING:
    from edgewright.converters.precision import Precision
    from edgewright.device_agent.template import Template

    from ..assembler.archive import TrainedSupernet
    from ..tasks import Task
    from ..tasks.domain import TaskDomain


class SupernetBench:
    """A supernet in one precision; `Workbench.supernet` makes one. Templates are built, and data opened, at first use.

    Models are cut out of `template`, which is float32; campaigns measure slices of `profiled`, which is in the
    precision asked for. `named` is how the user named it.
    """

    def __init__(
        self,
        trained: TrainedSupernet,
        precision: Precision,
        open_domain: Callable[[], TaskDomain],
        workspace: Workspace,
        say: Say,
        named: Path | None = None,
    ) -> None:
        self.trained, self.precision, self.named = trained, precision, named
        self._open_domain, self._workspace, self._say = open_domain, workspace, say

    @cached_property
    def domain(self) -> TaskDomain:
        """The data that models are judged by. Raises `InputError` where they are missing."""
        return self._open_domain()

    @cached_property
    def template(self) -> Template:
        from ..customize.templates import load_or_build

        return load_or_build(self.trained, self._workspace.templates, self._say)

    @cached_property
    def profiled(self) -> Template:
        from ..customize.templates import load_or_build

        if self.precision == "float32":
            return self.template
        return load_or_build(self.trained, self._workspace.templates, self._say, self.precision, self.domain)

    @cached_property
    def source(self) -> str:
        """What campaigns say their models are made of: the sha256 of `profiled`."""
        return hashlib.sha256(self.profiled.to_bytes()).hexdigest()

    def task(self, task: Task | str) -> Task:
        """A task by its attributes, such as "only two, even".

        Raises `InputError` for an attribute that the supernet does not know, and a task outside its space.
        """
        return self.trained.tasks.parse(task) if isinstance(task, str) else task

    def judged_task(self, task: Task | str) -> Task:
        """As `task`, of one that the domain's test images can judge.

        Raises `InputError` also where data are missing, or show nothing of the task.
        """
        import numpy as np

        asked = self.task(task)
        self.domain.examples(asked, "test", 1, np.random.default_rng(0))
        return asked

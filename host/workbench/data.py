"""The task domain of a supernet or a recipe, over the user's data or the shipped data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..workspace import Workspace

if TYPE_CHECKING:
    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import JointRecipe
    from ..domains.protocol import DataSources
    from ..tasks.domain import TaskDomain

Say = Callable[[str], None]


def domain_of(trained: TrainedSupernet, sources: DataSources) -> TaskDomain:
    """That of a trained supernet. Raises `InputError` where data are missing."""
    from ..assembler.joint.recipe import JointRecipe

    recipe = JointRecipe.from_json(trained.facts["recipe"])
    return recipe.domain.kind.open(recipe.domain.settings, recipe.backbone, sources, trained.tasks)


def recipe_domain(recipe: JointRecipe, sources: DataSources) -> TaskDomain:
    """That of a recipe. Raises `InputError` where data are missing."""
    return recipe.domain.kind.open(recipe.domain.settings, recipe.backbone, sources)


def sources_of(
    workspace: Workspace, say: Say, data: str | Path | None = None, mnist: str | Path | None = None
) -> DataSources:
    """The user's folders or the shipped data; what is computed from them once is kept in the workspace."""
    from ..domains.protocol import DataSources

    folder, digits = (None if given is None else Path(given) for given in (data, mnist))
    return DataSources(folder, digits, workspace.root, say, _quarters(say))


def _quarters(say: Say) -> Callable[[str, int, int], None]:
    """Progress as a sentence each quarter: images may be loaded while a bar of another kind is on the screen."""
    told: dict[str, int] = {}

    def progress(what: str, done: int, total: int) -> None:
        quarter = 4 * done // max(1, total)
        if told.get(what, 0) < quarter < 4:
            told[what] = quarter
            say(f"{what}: {done:,} of {total:,}")

    return progress

"""The task domain that a command is about, over the user's data or what comes along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..workspace import Workspace
from ..cli.output import Output

if TYPE_CHECKING:
    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import Recipe
    from ..domains.opening import DataPlaces
    from ..tasks.domain import TaskDomain


def domain_of(
    trained: TrainedSupernet, place: Workspace, output: Output, data: Path | None = None, mnist_dir: Path | None = None
) -> TaskDomain:
    """That of a trained supernet. Raises `InputError` where data are missing."""
    from ..domains.opening import open_domain
    from ..supernet.backbones import Backbone

    backbone = Backbone(**{**trained.facts["recipe"]["backbone"], "image_shape": trained.image_shape})
    categories = trained.tasks.groups[0].attributes
    return open_domain(trained.domain_name, categories, backbone, _places(place, output, data, mnist_dir))


def recipe_domain(
    recipe: Recipe, place: Workspace, output: Output, data: Path | None = None, mnist_dir: Path | None = None
) -> TaskDomain:
    """That of a recipe. Raises `InputError` where data are missing."""
    from ..domains.opening import open_domain

    return open_domain(recipe.tasks, recipe.categories, recipe.backbone, _places(place, output, data, mnist_dir))


def _places(place: Workspace, output: Output, data: Path | None, mnist_dir: Path | None) -> DataPlaces:
    from ..domains.opening import DataPlaces

    return DataPlaces(
        mnist_dir, data, place.generated, place.squares, place.colours, output.say, _quarters(output.say)
    )  # fmt: skip


def _quarters(say: Callable[[str], None]) -> Callable[[str, int, int], None]:
    """Progress as a sentence each quarter: images may be loaded while a command's own bar is on the screen."""
    told: dict[str, int] = {}

    def progress(what: str, done: int, total: int) -> None:
        quarter = 4 * done // max(1, total)
        if told.get(what, 0) < quarter < 4:
            told[what] = quarter
            say(f"{what}: {done:,} of {total:,}")

    return progress

"""The task domain of a supernet or a recipe, over the user's data or what comes along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..workspace import Workspace

if TYPE_CHECKING:
    from ..assembler.archive import TrainedSupernet
    from ..assembler.joint.recipe import JointRecipe
    from ..domains.opening import DataPlaces
    from ..tasks.domain import TaskDomain

Say = Callable[[str], None]


def domain_of(
    trained: TrainedSupernet, place: Workspace, say: Say, data: Path | None = None, mnist: Path | None = None
) -> TaskDomain:
    """That of a trained supernet. Raises `InputError` where data are missing."""
    from ..domains.opening import open_domain
    from ..supernet.backbones import Backbone

    backbone = Backbone(**{**trained.facts["recipe"]["backbone"], "image_shape": trained.image_shape})
    categories = trained.tasks.groups[0].attributes
    return open_domain(trained.domain_name, categories, backbone, _places(place, say, data, mnist))


def recipe_domain(
    recipe: JointRecipe, place: Workspace, say: Say, data: Path | None = None, mnist: Path | None = None
) -> TaskDomain:
    """That of a recipe. Raises `InputError` where data are missing."""
    from ..domains.opening import open_domain

    categories = recipe.domain.to_json().get("categories", ())
    return open_domain(recipe.domain.name, categories, recipe.backbone, _places(place, say, data, mnist))


def _places(place: Workspace, say: Say, data: Path | None, mnist: Path | None) -> DataPlaces:
    from ..domains.opening import DataPlaces

    return DataPlaces(mnist, data, place.generated, place.squares, place.colours, say, _quarters(say))


def _quarters(say: Say) -> Callable[[str, int, int], None]:
    """Progress as a sentence each quarter: images may be loaded while a bar of another kind is on the screen."""
    told: dict[str, int] = {}

    def progress(what: str, done: int, total: int) -> None:
        quarter = 4 * done // max(1, total)
        if told.get(what, 0) < quarter < 4:
            told[what] = quarter
            say(f"{what}: {done:,} of {total:,}")

    return progress

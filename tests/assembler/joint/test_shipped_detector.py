"""What the card of the shipped detector claims, checked on a few tasks and freshly made test images."""

import numpy as np
import pytest
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.joint.recipe import JointRecipe
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.assembler.request import Request
from edgewright.assembler.scoring import evaluate_tasks, gated_accuracy
from edgewright.data.digits import load_digits
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.coco.file import CocoFile, detection_set
from edgewright.domains.detection.domain import AttrOd
from edgewright.domains.detection.letterboxed import load_images
from edgewright.domains.detection.scenes.digit_set import DigitSet, write_digit_set
from edgewright.shipped import shipped_supernet

NAME = "attrod-digits"
TASKS = ("digit-3", "digit-1, charcoal", "digit-3, crimson, lime", "digit-6, white", "digit-8, charcoal, crimson")


@pytest.fixture(scope="module")
def trained():
    return TrainedSupernet.load(shipped_supernet(NAME))


@pytest.fixture(scope="module")
def detection(trained, tmp_path_factory):
    """Other images than the card's, of the same test digits."""
    place = tmp_path_factory.mktemp("digits")

    def load(split):
        folder = write_digit_set(place, DigitSet(split, 250, seed=7, even=True), load_digits())
        return load_images(detection_set(CocoFile.read(folder)), 96, place / "letterboxed")

    return AttrOd(trained.tasks.groups[0].attributes, Grid(96, (8, 16)), load, "generated coloured digits")


def test_objects_are_found_by_category_and_colour(trained, detection):
    tasks = [detection.space.parse(text) for text in TASKS]
    rows = evaluate_tasks(trained, detection, tasks, [0.3], 120, seed=1)
    assert np.mean([row.accuracy for row in rows]) > 0.5
    assert all(row.ratio <= row.limit for row in rows)


def test_the_gates_carry_the_colour(trained, detection):
    """Gates for charcoal threes find few white ones."""
    white, charcoal = (detection.space.parse(f"digit-3, {colour}") for colour in ("white", "charcoal"))
    gates = trained.assembler.assemble([Request(task, 0.3) for task in (white, charcoal)])
    examples = detection.examples(white, "test", 120, np.random.default_rng(0))
    own, other = (gated_accuracy(trained, each, examples) for each in gates)
    assert other < 0.6 * own


def test_the_card_names_this_supernet(trained):
    assert f"Digest `{trained.digest}`" in (shipped_supernet(NAME) / "CARD.md").read_text()


def test_the_recipe_that_comes_along_is_the_one_it_was_made_by(trained):
    assert JointRecipe.from_json(trained.facts["recipe"]) == load_recipe(NAME)

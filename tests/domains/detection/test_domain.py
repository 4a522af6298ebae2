"""Attributed detection as a task domain: which examples a task has, and what outputs for them are worth."""

import numpy as np
import pytest
from edgewright.domains.detection.attrod import COLOURS, Query
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.domain import AttrOd
from edgewright.domains.detection.letterboxed import LetterboxedImages
from edgewright.errors import InputError

CATEGORIES = ("bicycle", "car", "person")
GRID = Grid(32, (8,))  # 4 x 4 anchor points
N_IMAGES, N_HOLDING = 20, 6
WHITE, NONE = COLOURS.index("white"), len(COLOURS)


def invented_images():
    """Image i is all of level i. The first six have a white car, with a grey one beside, image 7 a crowd of cars."""
    category, colour = np.full((N_IMAGES, 2), -1), np.full((N_IMAGES, 2), NONE)
    boxes, crowd = np.zeros((N_IMAGES, 2, 4), np.float32), np.zeros((N_IMAGES, 2), bool)
    category[:N_HOLDING], colour[:N_HOLDING, 0] = 1, WHITE
    boxes[:N_HOLDING] = [[8, 8, 16, 16], [16, 24, 24, 32]]  # the middles of two anchor points
    category[7, 0], boxes[7, 0], crowd[7, 0] = 1, [0, 0, 32, 16], True
    pixels = np.repeat(np.arange(N_IMAGES, dtype=np.uint8), 3 * 32 * 32).reshape(N_IMAGES, 3, 32, 32)
    return LetterboxedImages(CATEGORIES, pixels, np.arange(N_IMAGES), boxes, category, colour, crowd)


@pytest.fixture
def domain():
    letterboxed = {"train": invented_images(), "test": invented_images()}
    return AttrOd(CATEGORIES, GRID, letterboxed.pop, "invented images")  # a split that is loaded twice is an error


def numbers(examples):
    """Which images they are."""
    return [round(float(image[0, 0, 0]) * 255) for image in examples.images]


def outputs_of(examples, sure=9.0):
    """A perfect detector's outputs for the examples: the anchor points in the middles of objects say so."""
    outputs = np.zeros((len(examples.images), 16, 4 + len(CATEGORIES)), np.float32)
    outputs[..., 4:] = -9.0
    for row, truth in enumerate(examples.truths):
        for box, category in zip(truth.boxes[~truth.ignored], truth.categories[~truth.ignored], strict=True):
            point = int(box[1] // 8 * 4 + box[0] // 8)
            outputs[row, point, 4 + category] = sure
    return outputs


@pytest.mark.parametrize(("n", "n_holding"), [(8, 4), (5, 3), (1, 1), (16, 6), (100, 6)])
def test_half_of_at_most_n_images_hold_what_is_asked_for(domain, n, n_holding):
    task = domain.space.parse("white cars")
    examples = domain.examples(task, "test", n, np.random.default_rng(0))
    assert len(examples.images) == len(examples.truths) == min(n, N_IMAGES)
    assert len(set(numbers(examples))) == len(examples.images)  # none twice
    assert sum(len(truth.boxes[~truth.ignored]) > 0 for truth in examples.truths) == n_holding
    assert examples.images.dtype == np.float32 and examples.images.max() <= 1


def test_truths_are_the_objects_of_category_and_colour_and_the_crowds(domain):
    examples = domain.examples(domain.space.parse("white cars"), "test", 100, np.random.default_rng(0))
    by_image = dict(zip(numbers(examples), examples.truths, strict=True))
    assert by_image[0].boxes.tolist() == [[8, 8, 16, 16]] and by_image[0].categories.tolist() == [1]
    assert by_image[7].boxes.tolist() == [[0, 0, 32, 16]] and by_image[7].ignored.tolist() == [True]
    assert len(by_image[8].boxes) == 0
    any_colour = domain.examples(domain.space.parse("car"), "test", 100, np.random.default_rng(0))
    assert len(dict(zip(numbers(any_colour), any_colour.truths, strict=True))[0].boxes) == 2


def test_the_generator_alone_decides(domain):
    task = domain.space.parse("car")
    one, same, other = (domain.examples(task, "test", 6, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert numbers(one) == numbers(same) != numbers(other)
    assert (one.images == same.images).all()


def test_the_truth_scores_one_and_silence_zero(domain):
    examples = domain.examples(domain.space.parse("white cars"), "test", 20, np.random.default_rng(0))
    outputs = outputs_of(examples)
    assert examples.score(outputs) == pytest.approx(1.0)
    assert examples.score(np.where(outputs == 9.0, np.float32(-9.0), outputs)) == 0.0


def test_a_car_of_another_colour_is_a_mistake_and_another_category_is_not_looked_at(domain):
    white = domain.examples(domain.space.parse("white cars"), "test", 20, np.random.default_rng(0))
    every = domain.examples(domain.space.parse("car"), "test", 20, np.random.default_rng(0))
    assert numbers(white) == numbers(every)
    assert white.score(outputs_of(every)) < 0.9
    outputs = outputs_of(white)
    outputs[:, 3, 4] = 9.0  # bicycles everywhere
    assert white.score(outputs) == pytest.approx(1.0)


def test_agreement_is_the_share_of_boxes_that_both_found(domain):
    examples = domain.examples(domain.space.parse("car"), "test", 20, np.random.default_rng(0))
    both = outputs_of(examples)
    half = both.copy()
    half[:, 14, 5] = -9.0  # the second car of each image
    shifted = both.copy()
    shifted[..., 0] = 0.2
    assert examples.agreement(both, both) == 1.0
    assert examples.agreement(half, both) == examples.agreement(both, half) == pytest.approx(2 * 6 / (6 + 12))
    assert examples.agreement(both, shifted) == 0.0  # an overlap of two thirds is another box
    assert examples.agreement(outputs_of(examples, sure=-1.0), outputs_of(examples, sure=-2.0)) == 1.0  # both silent


def test_a_task_asks_for_the_scores_of_its_categories(domain):
    task = domain.space.parse("person, bicycle")
    assert domain.asked(task) == (0, 2) and domain.asked(domain.space.parse("white car")) == (1,)
    assert domain.describe(task) == {
        "name": "attrod", "categories": ["bicycle", "car", "person"], "asked": [0, 2], "side": 32, "strides": [8],
    }  # fmt: skip


def test_a_task_that_no_image_covers_cannot_be_judged(domain):
    task = domain.space.parse("white person")
    assert domain.covers(domain.space.parse("car"), "test") and not domain.covers(task, "test")
    with pytest.raises(InputError, match="no test image of invented images holds what 'person, white' asks for"):
        domain.examples(task, "test", 4, np.random.default_rng(0))


def test_count_is_that_of_the_objects_of_the_training_images(domain):
    assert domain.count(domain.space.parse("white cars")) == N_HOLDING
    assert domain.count(domain.space.parse("car")) == 2 * N_HOLDING  # the crowd is none
    assert domain.count(domain.space.parse("white person")) == 0


def test_held_out_tasks_are_among_the_tasks(domain):
    assert set(domain.held_out) < set(domain.tasks)
    assert all(Query.of(task).categories <= set(CATEGORIES) for task in domain.tasks)

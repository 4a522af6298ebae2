"""Examples and scores of tasks over labels."""

import numpy as np
import pytest
from edgewright.domains.images.domain import LabelExamples
from edgewright.errors import InputError


def examples_of(answers, rows=(0, 1)):
    return LabelExamples(np.zeros((len(answers), 3, 4, 4), np.float32), np.array(answers), rows)


def outputs_for(answers, width):
    return np.eye(width, dtype=np.float32)[answers]  # (B, width)


def test_every_answer_counts_alike_however_many_images_are_of_it():
    examples = examples_of([0, 0, 0, 1])
    assert examples.score(outputs_for([0, 0, 0, 1], 2)) == 1
    assert examples.score(outputs_for([0, 0, 0, 0], 2)) == 0.5
    assert examples.score(outputs_for([1, 0, 0, 1], 2)) == pytest.approx((2 / 3 + 1) / 2)


def test_a_supernets_outputs_score_as_those_of_the_tasks_model():
    examples = examples_of([0, 1, 1], rows=(5, 3))
    whole = np.zeros((3, 8), np.float32)
    whole[0, 5], whole[1, 3], whole[2, 3] = 1, 1, 1
    whole[:, 0] = 9  # an output that no model for the task has
    assert examples.score(whole) == examples.score(whole[:, [5, 3]]) == 1
    assert examples.agreement(whole, whole[:, [3, 5]]) == 0


def test_examples_are_different_images_of_their_split_as_many_of_each_answer(domain):
    task = domain.space.parse("disc | square | cross")
    examples = domain.examples(task, "train", 15, np.random.default_rng(0))
    assert np.bincount(examples.answers).tolist() == [5, 5, 5]
    assert len({image.tobytes() for image in examples.images}) == 15
    train = {image.tobytes() for image in domain.as_floats(domain.images.of_split("train"))}
    assert {image.tobytes() for image in examples.images} <= train


def test_a_rare_answer_has_as_many_examples_as_there_are(domain):
    task = domain.space.parse("disc, red")
    there = int(domain.space.question(task).holds(domain.images.has[domain.images.of_split("test")]).sum())
    examples = domain.examples(task, "test", 1000, np.random.default_rng(0))
    assert (examples.answers == 1).sum() == there < len(examples.answers) / 2


def test_a_task_counts_the_images_it_is_about(domain):
    train = domain.images.has[domain.images.of_split("train")]
    names = list(domain.space.labels)
    assert domain.count(domain.space.parse("disc")) == train[:, names.index("disc")].sum()
    both = train[:, names.index("disc")] | train[:, names.index("cross")]
    assert domain.count(domain.space.parse("disc | cross")) == both.sum()


def test_a_task_that_no_image_answers_with_yes_is_not_covered(domain):
    task = domain.space.parse("disc, not red, not green, not blue")
    assert not domain.covers(task, "train") and domain.count(task) == 0
    with pytest.raises(InputError, match="data check"):
        domain.examples(task, "test", 10, np.random.default_rng(0))

import numpy as np
import pytest
from edgewright.data.digits import Digits, load_digits
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.domain import Question


@pytest.fixture(scope="module")
def splits():
    return load_digits()


def test_there_are_sixty_tasks_and_eight_are_held_out_for_good():
    assert len(set(numvqa.TASKS)) == 60
    assert len(numvqa.TRAINED) == 52 and not set(numvqa.TRAINED) & set(numvqa.HELD_OUT)
    assert "only two, 0" in {str(task) for task in numvqa.HELD_OUT}


@pytest.mark.parametrize(
    ("task", "digits", "answer"),
    [
        ("has 3", [3, 3, 1, 0], True),
        ("has 3", [0, 1, 2, 4], False),
        ("only two 3", [3, 3, 1, 0], True),
        ("only two 3", [3, 3, 3, 0], False),
        ("only four odd", [1, 3, 5, 7], True),
        ("only one even", [1, 3, 5, 0], True),
    ],
)
def test_what_a_question_means(task, digits, answer):
    assert Question.of(numvqa.SPACE.parse(task).attributes).answer(np.array([digits])).tolist() == [answer]


def test_images_show_what_the_answer_says(splits):
    """One recognisable picture per digit class makes the drawn digits readable from the pixels."""
    marked = Digits(np.repeat(np.arange(10, dtype=np.uint8), 784).reshape(10, 28, 28), np.arange(10))
    for task in numvqa.TASKS:
        got = numvqa.examples(task, marked, 40, np.random.default_rng(1))
        corners = np.round(got.images[:, 0, ::28, ::28] * 255).astype(int).reshape(-1, 4)
        assert np.array_equal(Question.of(task.attributes).answer(corners), got.answers.astype(bool)), task
        assert got.answers.mean() == 0.5


def test_digits_are_uniform_over_what_the_answer_allows():
    question = Question.of(numvqa.SPACE.parse("has 3").attributes)
    weights = question.count_weights(True)
    assert weights[0] == 0 and weights[1] == pytest.approx(4 * 0.1 * 0.9**3 / (1 - 0.9**4))


def test_the_same_seed_gives_the_same_examples(splits):
    task = numvqa.SPACE.parse("only two even")
    a, b, c = (numvqa.examples(task, splits.test, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(a.images, b.images) and not np.array_equal(a.images, c.images)

"""How tasks over labels are written, what they mean, and what is refused."""

import json

import numpy as np
import pytest
from edgewright.data.labels import LabelGroup
from edgewright.domains.images.space import LabelSpace
from edgewright.errors import InputError

GROUPS = (
    LabelGroup("class", ("cat", "dog", "bird", "hot dog"), True),
    LabelGroup("helmet", ("helmet",), False),
    LabelGroup("vest", ("vest",), False),
    LabelGroup("tags", ("indoors", "wet", "night"), False),
)
SPACE = LabelSpace.of(GROUPS, np.random.default_rng(0).random((200, 9)) < 0.5, "0" * 64)


@pytest.mark.parametrize(
    "written, read",
    [
        ("cat", "cat"),
        ("  Helmet ,NOT vest", "helmet, not vest"),
        ("not vest, helmet", "helmet, not vest"),
        ("dog or cat, not wet", "cat or dog, not wet"),
        ("vest or helmet", "helmet or vest"),
        ("bird|cat", "cat | bird"),
        ("hot dog | dog", "dog | hot dog"),
        ("night, indoors", "indoors, night"),
        ("indoors or wet, not night", "indoors or wet, not night"),
    ],
)
def test_tasks_are_read_as_people_write_them(written, read):
    assert str(SPACE.parse(written)) == read
    assert SPACE.parse(read) == SPACE.parse(written)


@pytest.mark.parametrize(
    "written, reason",
    [
        ("", "the task is empty"),
        (" , ", "the task is empty"),
        ("cat, not cat", "names 'cat' more than once"),
        ("cat | cat", "names 'cat' more than once"),
        ("cat, dog", "no image has both 'cat' and 'dog'.*'cat or dog'.*'cat . dog'"),
        ("cat |", "unknown label ''"),
        ("kat", "did you mean 'cat'"),
        ("zebra", "known are: cat, dog, bird, hot dog, helmet"),
        ("cat | dog, helmet", "must be the whole task"),
        ("helmet | vest", "cannot be told apart"),
        ("indoors | wet", "cannot be told apart"),
        ("cat or helmet", "labels of different groups"),
        ("cat or dog, bird or hot dog", "same group"),
        ("not cat or dog", "ambiguous.*'not cat, not dog'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(written, reason):
    with pytest.raises(InputError, match=reason):
        SPACE.parse(written)


def test_different_tasks_have_different_encodings():
    tasks = ["cat", "not cat", "cat or dog", "cat | dog", "cat, helmet", "helmet or vest", "helmet, vest"]
    vectors = [SPACE.encode(SPACE.parse(text).attributes) for text in tasks]
    assert {vector.shape for vector in vectors} == {(4 * 9,)} == {(len(SPACE.attributes),)}
    assert len({vector.tobytes() for vector in vectors}) == len(tasks)


def test_a_question_is_answered_by_the_labels():
    has = np.zeros((4, 9), bool)
    has[0, [0, 4]], has[1, [1, 4, 5]], has[2, 2], has[3, [3, 5]] = True, True, True, True

    def answers(text):
        return SPACE.question(SPACE.parse(text)).answers(has).tolist()

    assert answers("helmet, not vest") == [1, 0, 0, 0]
    assert answers("cat or bird") == [1, 0, 1, 0]
    assert answers("helmet or vest, not dog") == [1, 0, 0, 1]
    assert answers("dog | bird") == [-1, 0, 1, -1]
    assert SPACE.question(SPACE.parse("dog | bird")).output_rows == (3, 4)
    assert SPACE.question(SPACE.parse("cat")).output_rows == (0, 1)


def test_a_space_is_the_same_after_json():
    again = LabelSpace.from_json(json.loads(json.dumps(SPACE.to_json())))
    assert again == SPACE and again.is_mixed(0, 4) == SPACE.is_mixed(0, 4)


def test_labels_that_go_together_always_or_never_are_not_mixed():
    has = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 0]], bool)
    space = LabelSpace.of((LabelGroup("class", ("cat", "dog"), True), LabelGroup("wet", ("wet",), False)), has, "0")
    mixed = {(one, other) for one in range(3) for other in range(3) if space.is_mixed(one, other)}
    assert mixed == {(0, 2)}  # some cats are wet; no dog is, and whatever is wet is a cat

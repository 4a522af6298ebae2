import pytest
from edgewright.domains.numvqa.domain import SPACE
from edgewright.errors import InputError
from edgewright.tasks import AttributeSpace


@pytest.mark.parametrize(
    "text",
    [
        "only two, even",
        "only two even",
        "even, only two",
        " Only  TWO even",
        "exactly two even digits",
        "only two evens",
    ],
)
def test_spellings_of_one_task(text):
    assert str(SPACE.parse(text)) == "only two, even"


@pytest.mark.parametrize("text", ["", "  ", " , ,"])
def test_an_empty_task_shows_what_one_looks_like(text):
    with pytest.raises(InputError, match="the task is empty; name its attributes, such as 'only four, even'"):
        SPACE.parse(text)


def test_an_unknown_attribute_gets_the_nearest():
    with pytest.raises(InputError, match="unknown attribute 'evn'; did you mean 'even'"):
        SPACE.parse("only two, evn")


def test_an_attribute_like_no_other_gets_the_list():
    with pytest.raises(InputError, match="unknown attribute 'purple'; known are: has, only one"):
        SPACE.parse("has, purple")


def test_a_task_outside_the_space_says_what_is_missing_or_too_much():
    with pytest.raises(InputError, match="outside the space: it needs exactly 1 of digit .* got none"):
        SPACE.parse("only two")
    with pytest.raises(InputError, match="it needs exactly 1 of digit .* got 3, 4"):
        SPACE.parse("has, 3, 4")


def test_encoding_is_multi_hot_in_the_order_of_the_space():
    vector = SPACE.encode(("even", "only two"))
    assert [name for name, bit in zip(SPACE.attributes, vector, strict=True) if bit] == ["only two", "even"]


def test_a_space_survives_json():
    assert AttributeSpace.from_json(SPACE.to_json()) == SPACE

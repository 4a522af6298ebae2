import pytest
from edgewright.domains.detection import attrod
from edgewright.domains.detection.attrod import COCO_CATEGORIES, DIGIT_CATEGORIES, Query, attrod_space
from edgewright.domains.detection.objects import DetectionObject
from edgewright.errors import InputError
from edgewright.tasks import AttributeSpace

DIGITS, COCO = attrod_space(DIGIT_CATEGORIES), attrod_space(COCO_CATEGORIES)


@pytest.mark.parametrize(
    ("space", "text", "task"),
    [
        (DIGITS, "digit-3, red|lime", "digit-3, crimson, lime"),
        (DIGITS, "lime, crimson, digit-3", "digit-3, crimson, lime"),
        (DIGITS, "red or lime threes", "digit-3, crimson, lime"),
        (DIGITS, "3", "digit-3"),
        (DIGITS, "the digit 8, black/grey", "digit-8, charcoal"),
        (COCO, "white or red bicycles", "bicycle, white, crimson"),
        (COCO, "people in yellow", "person, bronze"),
        (COCO, "cars of any colour", "car"),
        (COCO, "Red; GREEN, bikes and motorbikes", "bicycle, motorcycle, crimson, lime"),
        (COCO, "dark grey car, green", "car, charcoal, lime"),
    ],
)
def test_spellings(space, text, task):
    assert str(space.parse(text)) == task
    assert space.parse(task) == space.parse(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the task is empty; name its attributes, such as 'motorcycle, lime'"),
        ("whte, bicycle", "unknown attribute 'whte'; did you mean 'white'"),
        ("red or whte bicycles, lime", "unknown attribute 'whte'; did you mean 'white'"),
        ("red", r"it needs 1 to 4 of category \(person, bicycle, car, motorcycle\), got none"),
        ("blue cars", "unknown attribute 'blue'"),
    ],
)
def test_a_task_that_cannot_be(text, sentence):
    with pytest.raises(InputError, match=sentence):
        COCO.parse(text)


def test_the_tasks_are_every_category_with_every_set_of_colours_and_a_few_of_several_categories():
    every = attrod.tasks(DIGITS)
    assert len(set(every)) == len(every) == 4 * 32 + 6 + 1
    assert {"digit-1", "digit-8, white, bronze, charcoal, crimson, lime", "digit-1, digit-6"} <= set(map(str, every))
    assert all(DIGITS.parse(str(task)) == task for task in every)


def test_one_task_in_six_is_held_out_and_never_a_category_by_itself():
    held_out, trained = attrod.held_out(DIGITS), attrod.trained(DIGITS)
    assert set(held_out) | set(trained) == set(attrod.tasks(DIGITS)) and not set(held_out) & set(trained)
    assert 1 / 7 < len(held_out) / 135 < 1 / 5
    assert all(len(task.attributes) > 1 for task in held_out)
    for category in DIGIT_CATEGORIES:
        named = [task for task in held_out if Query.of(task).categories == {category}]
        assert [sum(len(task.attributes) == 1 + n for task in named) for n in range(6)] == [0, 1, 2, 2, 1, 0]


def test_the_same_combinations_are_held_out_whatever_the_names_and_for_good():
    renamed = dict(zip(DIGIT_CATEGORIES, COCO_CATEGORIES, strict=True))
    of_digits = [tuple(renamed.get(name, name) for name in task.attributes) for task in attrod.held_out(DIGITS)]
    assert of_digits == [task.attributes for task in attrod.held_out(COCO)]
    assert [str(task) for task in attrod.held_out(DIGITS)][:3] == [
        "digit-1, charcoal",
        "digit-1, white, bronze",
        "digit-1, crimson, lime",
    ]


@pytest.mark.parametrize(
    ("task", "wanted", "ignored"),
    [
        ("car, red, white", [0, 1], [4]),
        ("car", [0, 1, 2, 3], [4]),
        ("person, red", [5], []),
        ("car, person", [0, 1, 2, 3, 5], [4]),
        ("bicycle", [], []),
    ],
)
def test_what_a_task_asks_for(task, wanted, ignored):
    box = (0.0, 0.0, 9.0, 9.0)
    objects = [DetectionObject("car", box, colour) for colour in ("white", "crimson", "lime", None)]
    objects += [DetectionObject("car", box, None, crowd=True), DetectionObject("person", box, "crimson")]
    query = Query.of(COCO.parse(task))
    assert query.split(objects) == ([objects[i] for i in wanted], [objects[i] for i in ignored])


def test_a_category_that_is_called_like_a_colour_word_is_the_category():
    space = attrod_space(("orange", "banana"))
    assert str(space.parse("oranges, yellow")) == "orange, bronze" and str(space.parse("orange")) == "orange"


@pytest.mark.parametrize(
    ("categories", "sentence"),
    [
        ((), "needs different categories, got none"),
        (("car", "car"), "needs different categories, got car, car"),
        (("car", "white"), "'white' is the name of a colour group"),
        (("Car",), "'Car' cannot be typed as a task"),
        (("cat, dog",), "'cat, dog' cannot be typed as a task"),
    ],
)
def test_categories_that_make_no_space(categories, sentence):
    with pytest.raises(InputError, match=sentence):
        attrod_space(categories)


def test_all_categories_of_coco_and_a_space_of_one_survive_json():
    for space in (COCO, attrod_space(("stop sign",))):
        assert AttributeSpace.from_json(space.to_json()) == space
    assert str(attrod_space(("stop sign", "bus")).parse("red stop signs or buses")) == "stop sign, bus, crimson"
    assert len(attrod.tasks(attrod_space(("stop sign",)))) == 32

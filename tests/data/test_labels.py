"""Labels can be typed in a task, and there is something to tell apart."""

import numpy as np
import pytest
from edgewright.data.labels import LabelGroup, as_label, check_counts, check_names, label_order
from edgewright.errors import InputError


def group(*labels, name="class", exclusive=True):
    return LabelGroup(name, labels, exclusive)


TYPEABLE = ["cat", "fire engine", "Äpfel", "猫", "dog's toy", "T-shirt", "orca", "x" * 60, "nothing", "1"]


@pytest.mark.parametrize("label", TYPEABLE)
def test_labels_that_can_be_typed(label):
    assert group(label, "other").labels == (label, "other")


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("black, white", "holds a comma"),
        ("cat|dog", r'holds "\|"'),
        ("cat;dog", "holds a semicolon"),
        ("n/a", "holds a slash"),
        ('12" disc', "holds a quote"),
        ("one\ntwo", "holds a line break or another character that cannot be typed"),
        ("not ripe", 'begins with "not"'),
        ("Not", 'begins with "not"'),
        ("red or green", 'holds the word "or"'),
        ("or", 'holds the word "or"'),
        ("x" * 200, "has 200 characters, more than 60"),
        ("", "is empty"),
    ],
)
def test_labels_that_cannot_be_typed(label, why):
    with pytest.raises(InputError, match=f"the label .* cannot be typed in a task: it {why}; rename it") as error:
        group("cat", label)
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)


def test_spaces_and_accents_are_written_in_one_way():
    assert as_label("  cafe\u0301 \u00a0 au  lait ") == "café au lait"


def test_names_that_differ_only_by_case():
    with pytest.raises(InputError, match="the labels 'Cat' and 'cat' differ only by case; rename or join them"):
        check_names([group("Cat", "cat", "dog")])


def test_a_label_of_two_columns():
    with pytest.raises(InputError, match="both columns 'top' and 'shoes' have the label 'red'; rename it in one"):
        check_names([group("red", "blue", name="top"), group("black", "red", name="shoes")])
    check_names([group("red", "blue", name="top"), group("shoes", name="shoes", exclusive=False)])


def has(*counts, n=40):
    """Each label on its first images."""
    return np.arange(n)[:, None] < np.array(counts)


def test_enough_images_of_every_label():
    check_counts([group("cat", "dog")], has(10, 30), "DIR")
    with pytest.raises(InputError, match=r"too few images in DIR: 'cat' has 9, 'dog' has 0; each label needs"):
        check_counts([group("cat", "dog")], has(9, 0), "DIR")
    with pytest.raises(InputError, match="'c' has 3 and 2 more labels have too few"):
        check_counts([group(*"abcde")], has(1, 2, 3, 4, 5), "DIR")


def test_something_to_tell_apart():
    with pytest.raises(InputError, match="all images of DIR have the same class, 'cat'; a model needs at least two"):
        check_counts([group("cat")], has(40), "DIR")
    check_counts([group("vest", exclusive=False)], has(30), "DIR")
    with pytest.raises(InputError, match="only 9 images of DIR are without 'vest'; at least 10 are needed"):
        check_counts([group("a", "b"), group("vest", name="vest", exclusive=False)], has(20, 20, 31), "DIR")


def test_labels_are_in_the_order_in_which_people_count():
    assert label_order({"item 10", "item 2", "Item 1", "apple"}) == ("apple", "Item 1", "item 2", "item 10")

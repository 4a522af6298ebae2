"""Which tasks are judged and held out follows from the labels alone."""

import numpy as np
from edgewright.data.labels import LabelGroup
from edgewright.domains.images.space import LabelSpace
from edgewright.domains.images.tasks import all_tasks, held_out, random_tasks

LABELS = tuple("abcdefghij")


def space_of(*groups, n=300):
    rng = np.random.default_rng(0)
    columns = []
    for group in groups:
        drawn = rng.integers(len(group.labels), size=n)
        one = np.eye(len(group.labels), dtype=bool)[drawn]
        columns.append(one if group.exclusive else rng.random((n, len(group.labels))) < 0.5)
    return LabelSpace.of(groups, np.concatenate(columns, 1), "0")


TEN = space_of(LabelGroup("class", LABELS, True))
MANY = space_of(LabelGroup("class", LABELS[:4], True), LabelGroup("wet", ("wet",), False))


def test_ten_classes_give_a_hundred_trained_tasks_of_two_to_five_and_twenty_held_out():
    which = [task for task in all_tasks(TEN) if "|" in str(task)]
    sizes = [str(task).count("|") + 1 for task in which]
    assert {size: sizes.count(size) for size in set(sizes)} == {2: 30, 3: 30, 4: 30, 5: 30, 10: 1}
    assert sum("|" in str(task) for task in held_out(TEN)) == 20


def test_held_out_tasks_are_combinations_and_never_drawn():
    drawn = random_tasks(TEN, 300, np.random.default_rng(0))
    assert len(set(drawn)) == len(drawn) == 300
    assert not set(drawn) & set(all_tasks(TEN))
    assert all("|" in str(task) or " or " in str(task) for task in held_out(TEN))


def test_labels_are_combined_only_where_images_differ():
    single = space_of(LabelGroup("class", LABELS[:3], True), LabelGroup("other", ("x", "y"), True))
    assert any("not" in str(task) for task in all_tasks(single))
    assert not any("not" in str(task) or ", " in str(task) for task in all_tasks(TEN))


def test_two_classes_are_enough():
    two = space_of(LabelGroup("class", ("ripe", "unripe"), True))
    assert [str(task) for task in all_tasks(two)].count("ripe | unripe") == 1
    assert held_out(two) == () and random_tasks(two, 50, np.random.default_rng(0)) == []


def test_a_yes_or_no_label_joins_the_classes():
    texts = {str(task) for task in all_tasks(MANY)}
    assert "wet" in texts and any(text.endswith(", wet") for text in texts)
    assert any("not wet" in text for text in texts)


def test_the_same_labels_give_the_same_tasks():
    assert all_tasks(space_of(LabelGroup("class", LABELS, True))) == all_tasks(TEN)

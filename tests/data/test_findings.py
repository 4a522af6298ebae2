"""What labelled images hold, as data."""

import shutil

from edgewright.data.findings import findings
from edgewright.data.labelled import survey_labelled

from tests.data.small_folder import drawn, save, write_digits, write_table


def found_in(folder):
    return findings(survey_labelled(folder, folder.parent / "cache"))


def test_a_table_of_classes_and_attributes(tmp_path):
    found = found_in(write_table(tmp_path / "table", n=30))
    assert list(found) == ["classes", "attributes", "images", "splits", "unreadable", "duplicates", "tasks"]
    assert list(found["classes"]) == ["shape", "colour"] and list(found["attributes"]) == ["bright"]
    assert [sum(row.values()) for row in found["classes"]["shape"].values()] == [30, 30, 30]
    assert sum(found["splits"].values()) == 90 and min(found["splits"].values()) > 0
    for split, n in found["splits"].items():
        assert sum(row[split] for row in found["classes"]["colour"].values()) == n
    assert found["images"]["found"] == found["images"]["used"] == 90 and found["images"]["splits_given"] == []
    assert found["images"]["imbalance"] == {"shape": 1.0, "colour": 1.0}


def test_the_tasks_that_follow(tmp_path):
    tasks = found_in(write_table(tmp_path / "table", n=30))["tasks"]
    assert [(each["group"], each["labels"], each["of_two"], each["of_two_to_five"]) for each in tasks["which_of"]] == [
        ("shape", 3, 3, 4), ("colour", 3, 3, 4)
    ]  # fmt: skip
    assert tasks["which_of"][0]["examples"] == ["cross | disc", "disc | square", "cross | disc | square"]
    assert tasks["yes_no"]["labels"] == 7
    assert tasks["yes_no"]["examples"][0] == {"task": "cross", "yes": 30, "of": 90}
    assert {"task": "cross, not blue", "yes": 20, "of": 90} in tasks["yes_no"]["examples"]
    assert not any("cross, not disc" == each["task"] for each in tasks["yes_no"]["examples"])


def test_sizes_and_imbalance(tmp_path):
    folder = write_digits(tmp_path / "digits")
    save(drawn("disc", "red", 1, 300), folder / "one" / "large.png")
    for number in range(10):
        (folder / "two" / f"{number:03}.png").unlink()
    found = found_in(folder)["images"]
    assert found["sizes"] == {"smallest": [28, 28], "median": [28, 28], "largest": [300, 300]}
    assert found["imbalance"] == {"class": 2.1} and found["used"] == 51


def test_duplicates_and_unreadable_files(tmp_path):
    folder = write_digits(tmp_path / "digits", splits=True)
    shutil.copy(folder / "test" / "one" / "000.png", folder / "train" / "two" / "900.png")
    shutil.copy(folder / "train" / "one" / "000.png", folder / "train" / "one" / "900.png")
    (folder / "train" / "one" / "001.png").write_bytes(b"")
    found = found_in(folder)
    assert found["unreadable"] == {"train/one/001.png": "not an image"}
    assert found["duplicates"] == {
        "groups": [
            {"images": ["test/one/000.png", "train/two/900.png"], "splits": ["test", "train"], "same_bytes": True,
             "same_labels": False},
            {"images": ["train/one/000.png", "train/one/900.png"], "splits": ["train", "train"], "same_bytes": True,
             "same_labels": True},
        ],
        "across_splits": 1,
        "left_out": {"train/two/900.png": "the same picture as test/one/000.png of the test split"},
    }  # fmt: skip
    assert found["images"]["splits_given"] == ["train", "validation", "test"]
    assert (found["images"]["found"], found["images"]["used"]) == (182, 180)

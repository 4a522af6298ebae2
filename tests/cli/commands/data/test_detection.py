"""`edgewright data`: a generated data set, and the colours of a folder in COCO's format."""

import json
import signal
import subprocess
import sys
import time

import pytest
from edgewright.domains.detection.attrod import COLOURS

from tests.cli.command_line import MAIN
from tests.domains.detection.small_coco import CATEGORIES, change, name, write_small_coco


@pytest.fixture
def place(tmp_path):
    return write_small_coco(tmp_path / "coco")


def test_coloured_digits_are_made_and_counted(edgewright, tmp_path):
    words = ("data", "coloured-digits", tmp_path / "digits", "--images", 30, "--side", 48, "--seed", 2, "--even")
    answer = edgewright(*words, "--crowds", 0.5, "--split", "validation", "--json")
    assert answer.exit_code == 0 and answer.json["images"] == 30 and answer.json["crowds"] > 0
    assert answer.json["objects"] == sum(sum(row.values()) for row in answer.json["counts"].values())
    assert list(answer.json["counts"]) == ["digit-1", "digit-3", "digit-6", "digit-8"]
    assert list(answer.json["counts"]["digit-1"]) == [*COLOURS, "none"]
    assert len(list((tmp_path / "digits" / "validation").iterdir())) == 30
    assert "category  white" in answer.err and "digit-8" in answer.err


def test_the_pixels_of_a_generated_set_give_the_colours_it_was_made_with(edgewright, tmp_path):
    edgewright("data", "coloured-digits", tmp_path / "digits", "--images", 60, "--split", "test", "--even")
    answer = edgewright("data", "annotate", tmp_path / "digits", "--workspace", tmp_path / "ws", "--json")
    agreement = answer.json["splits"]["test"]["agreement"]
    assert set(agreement) == {*COLOURS, "none"} and min(agreement.values()) > 0.9
    assert "agreement with the colours in the file" in answer.err


def test_the_colours_of_a_coco_folder_as_a_table(edgewright, place, tmp_path):
    words = ("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws")
    answer = edgewright(*words, "--json")
    split = answer.json["splits"]["val2017"]
    assert answer.exit_code == 0 and answer.json["annotator"].startswith("pixels-1")
    assert (split["images"], split["objects"], split["crowds"], split["degenerate_boxes"]) == (22, 21, 1, 2)
    assert split["left_out"] == {name(4): "cannot be read", name(5): "not there"} and split["agreement"] is None
    none = dict.fromkeys((*COLOURS, "none"), 0)
    assert split["counts"] == {
        "person": none | {"white": 1},
        "bicycle": none | {"lime": 1},
        "car": none | {"crimson": 1, "none": 1},
        "motorcycle": none | {"charcoal": 17},
    }
    assert "motorcycle  0      0       17        0        0     0     17" in answer.err
    assert "2 of 24 images" in answer.err and "2 boxes less than a pixel wide or high were left out" in answer.err
    again = edgewright(*words)
    assert again.exit_code == 0 and again.out == "" and "charcoal" in again.err


def test_categories_and_splits_are_chosen(edgewright, place, tmp_path):
    words = ("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws")
    answer = edgewright(*words, "--categories", "dog, car", "--split", "val2017", "--json")
    assert list(answer.json["splits"]["val2017"]["counts"]) == ["dog", "car"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--categories", "cra"], "has no category 'cra'; did you mean 'car'"),
        (["--categories", "car,,dog"], '--categories takes names separated by commas, such as "car, person"'),
        (["--split", "train"], "instances_train.json; splits of"),
        (["--annotator", "eyes"], "--annotator must be pixels or vqa, got 'eyes'"),
        (["--model", "some"], "--model applies to --annotator vqa only; got --model some"),
    ],
)
def test_a_mistake_is_one_sentence(edgewright, place, tmp_path, words, sentence):
    answer = edgewright("data", "annotate", place.images.parent, *words, "--workspace", tmp_path / "ws", "--json")
    assert answer.exit_code == 2 and sentence in answer.err and answer.err.count("\n") == 1
    assert answer.json == {"error": answer.err[len("edgewright: ") : -1], "exit_code": 2}


def test_folders_and_files_that_are_no_data_set(edgewright, place, tmp_path):
    answer = edgewright("data", "annotate", tmp_path / "nowhere")
    assert answer.exit_code == 2 and f"no annotations in {tmp_path}/nowhere; expected" in answer.err
    change(place, images=[{"id": 1, "file_name": "../../x.jpg", "width": 4, "height": 4}])
    answer = edgewright("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws")
    assert answer.exit_code == 2 and "leads out of the folder of images" in answer.err
    place.annotations.write_text("not JSON")
    answer = edgewright("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws")
    assert answer.exit_code == 2 and f"{place.annotations} is not a JSON file" in answer.err


def test_too_much_damage_is_an_error(edgewright, place, tmp_path):
    for number in range(8, 12):
        (place.images / name(number)).write_bytes(b"cut short")
    answer = edgewright("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws")
    assert answer.exit_code == 2 and "6 of 24 images" in answer.err and "more than 10%" in answer.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--images", "0"], "the number of images must lie within 1 and a million, got 0"),
        (["--side", "9"], "the side must lie within 32 and 1024 pixels, got 9"),
        (["--split", "val"], "unknown split 'val'"),
        (["--crowds", "nan"], "crowd_share must lie within 0 and 1, got nan"),
    ],
)
def test_a_set_of_digits_that_cannot_be(edgewright, tmp_path, words, sentence):
    answer = edgewright("data", "coloured-digits", tmp_path / "digits", *words)
    assert answer.exit_code == 2 and sentence in answer.err and not (tmp_path / "digits").exists()


def test_a_folder_that_cannot_be_written(edgewright, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = edgewright("data", "coloured-digits", tmp_path / "file" / "digits", "--images", 1)
    assert answer.exit_code == 2 and "cannot write" in answer.err and "choose another folder" in answer.err


def test_ctrl_c_says_how_to_go_on(tmp_path):
    words = ["data", "coloured-digits", str(tmp_path / "digits"), "--images", "5000", "--side", "32"]
    child = subprocess.Popen([sys.executable, "-c", MAIN, *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not list((tmp_path / "digits").glob("train/*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=90)
    assert child.returncode == 130 and "run the same command again to continue" in said


def test_categories_default_to_all_where_no_task_space_fits(edgewright, place, tmp_path):
    kinds = [{"id": number, "name": f"my {kind}"} for kind, number in CATEGORIES.items()]
    change(place, categories=kinds)
    answer = edgewright("data", "annotate", place.images.parent, "--workspace", tmp_path / "ws", "--json")
    assert list(answer.json["splits"]["val2017"]["counts"]) == [f"my {kind}" for kind in CATEGORIES]
    assert json.loads(place.annotations.read_bytes())["categories"] == kinds

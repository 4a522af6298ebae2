"""`edgewright predict` as a person runs it: models on this machine's real agent, with their pictures and sentences."""

import numpy as np
import pytest
from PIL import Image

from tests.delivery.delivered import ATTROD, NUMVQA, deliver, detector_file, grey, judge_file, write_picture


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace, for the agent that all of them use."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a detector, a model that answers, and two photographs."""
    monkeypatch.chdir(tmp_path)
    deliver(tmp_path / "detector.tflite", detector_file(), ATTROD)
    deliver(tmp_path / "judge.tflite", judge_file(), NUMVQA, task="has, 3")
    write_picture(tmp_path / "street.png", 192, 96, ((96, 24, 120, 48), "red"), ((24, 72, 48, 96), "#0000c0"))
    write_picture(tmp_path / "night.jpg", 100, 100)
    return tmp_path


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_boxes_in_json_in_a_table_and_in_a_picture(edgewright, folder, place):
    answer = edgewright("predict", "detector.tflite", "street.png", "--workspace", place, "--json")
    assert answer.exit_code == 0
    assert answer.json == {
        "model": "detector.tflite", "task": "red, blue", "device": "local",
        "images": [{
            "image": "street.png",
            "boxes": [
                {"category": "red thing", "score": pytest.approx(0.97, abs=0.02), "box": [96, 24, 120, 48]},
                {"category": "blue thing", "score": pytest.approx(0.85, abs=0.05), "box": [24, 72, 48, 96]},
            ],
            "picture": "street.boxes.png",
        }],
    }  # fmt: skip
    assert "street.png: 2 objects; picture: street.boxes.png" in answer.err
    (row,) = (line.split() for line in answer.err.splitlines() if "red thing" in line)
    assert row == ["red", "thing", "0.97", "96.0", "24.0", "120.0", "48.0"]


def test_the_picture_is_the_image_with_a_frame_and_a_label_on_each_object(edgewright, folder, place):
    edgewright("predict", "detector.tflite", "street.png", "--workspace", place)
    drawn = pixels("street.boxes.png")
    factor = drawn.shape[1] // 192
    assert drawn.shape == (96 * factor, 192 * factor, 3) and factor > 1  # enlarged, so that labels can be read
    middle = drawn[36 * factor, 108 * factor]
    assert middle.tolist() == [255, 0, 0]  # inside of the frame the object is as it was
    frame = drawn[36 * factor, 96 * factor]
    assert frame.tolist() not in ([255, 0, 0], [0, 0, 0])
    above = drawn[24 * factor - 8, 97 * factor : 110 * factor]
    assert (above == frame).all(1).any() and len(np.unique(above, axis=0)) > 2  # text on a ground of the frame's colour
    assert (drawn[48 * factor + 10 :, 130 * factor :] == 0).all()  # nothing else is drawn


def test_nothing_found_is_said_and_the_picture_is_as_it_was(edgewright, folder, place):
    answer = edgewright("predict", "detector.tflite", "night.jpg", "--workspace", place, "--json")
    assert answer.json["images"][0]["boxes"] == [] and "night.jpg: nothing with a score above 0.3" in answer.err
    assert (pixels("night.boxes.png") == 0).all()


def test_several_images_go_into_a_folder(edgewright, folder, place):
    words = ("predict", "detector.tflite", "street.png", "night.jpg", "--workspace", place, "--json")
    answer = edgewright(*words, "--out", "seen")
    assert [each["picture"] for each in answer.json["images"]] == ["seen/street.boxes.png", "seen/night.boxes.png"]
    assert sorted(path.name for path in (folder / "seen").iterdir()) == ["night.boxes.png", "street.boxes.png"]
    answer = edgewright(*words, "--out", "seen.png")
    assert answer.exit_code == 2 and "--out must be a folder for 2 images, got seen.png" in answer.err


def test_one_image_goes_into_a_file_or_a_folder(edgewright, folder, place):
    words = ("predict", "detector.tflite", "street.png", "--workspace", place, "--json")
    assert edgewright(*words, "--out", "here.png").json["images"][0]["picture"] == "here.png"
    assert (pixels("here.png") > 0).any()
    (folder / "there.d").mkdir()
    assert edgewright(*words, "--out", "there.d").json["images"][0]["picture"] == "there.d/street.boxes.png"
    answer = edgewright(*words, "--out", "here.jpg")
    assert answer.exit_code == 2 and "pictures are written as PNG files: use --out here.png, or a folder" in answer.err


def test_no_image_is_overwritten(edgewright, folder, place):
    before = (folder / "street.png").read_bytes()
    words = ("predict", "detector.tflite", "street.png", "--workspace", place)
    answer = edgewright(*words, "--out", folder / "street.png")
    assert answer.exit_code == 2 and "is one of the images and would be overwritten; choose another" in answer.err
    (folder / "other").mkdir()
    (folder / "other" / "street.jpg").write_bytes(before)
    answer = edgewright(*words, "other/street.jpg")
    assert answer.exit_code == 2
    assert "street.png and other/street.jpg would both be written to street.boxes.png" in answer.err
    assert (folder / "street.png").read_bytes() == before and not (folder / "street.boxes.png").exists()


def test_a_picture_that_cannot_be_written(edgewright, folder, place):
    (folder / "file").write_text("in the way")
    answer = edgewright("predict", "detector.tflite", "street.png", "--out", "file/a.png", "--workspace", place)
    assert answer.exit_code == 2 and "cannot write file" in answer.err and "choose another folder" in answer.err


def test_a_question_is_answered(edgewright, folder, place):
    grey(folder / "bright.png", 250)
    grey(folder / "dark.png", 5, (80, 80))
    answer = edgewright("predict", "judge.tflite", "bright.png", "dark.png", "--workspace", place, "--json")
    assert answer.json == {
        "model": "judge.tflite", "task": "has, 3", "device": "local",
        "images": [
            {"image": "bright.png", "answer": "yes", "probability": 0.979},
            {"image": "dark.png", "answer": "no", "probability": 0.979},
        ],
        "sheet": "predictions.png",
    }  # fmt: skip
    assert "bright.png: yes (97.9%)" in answer.err and not list(folder.glob("*.boxes.png"))
    assert pixels(folder / "predictions.png").shape == (190 + 8, 2 * 168 + 8, 3)


def test_one_answer_is_drawn_where_a_file_is_named(edgewright, folder, place):
    grey(folder / "bright.png", 250)
    answer = edgewright("predict", "judge.tflite", "bright.png", "--out", "a.png", "--workspace", place, "--json")
    assert answer.json["sheet"] == "a.png" and pixels(folder / "a.png").shape == (190 + 8, 168 + 8, 3)
    answer = edgewright("predict", "judge.tflite", "bright.png", "--workspace", place, "--json")
    assert "sheet" not in answer.json and not (folder / "predictions.png").exists()
    answer = edgewright("predict", "judge.tflite", "bright.png", "--out", "bright.png", "--workspace", place)
    assert answer.exit_code == 2 and "bright.png is one of the images and would be overwritten" in answer.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("no.tflite", "street.png"), "cannot read model no.tflite: No such file or directory; check the path"),
        (("detector.tflite", "no.png"), "image no.png cannot be read"),
        (("detector.tflite", "street.png", "detector.tflite"), "image detector.tflite cannot be read"),
        (("detector.tflite", "street.png", "--device", "locl"), "no device named 'locl'; did you mean 'local'?"),
        (("detector.tflite", "street.png", "--min-score", "2"), "--min-score must lie within 0 and 1, such as 0.3"),
    ],
)
def test_bad_input_is_one_sentence(edgewright, folder, place, words, sentence):
    answer = edgewright("predict", *words, "--workspace", place)
    assert answer.exit_code == 2 and sentence in answer.err and answer.err.count("\n") == 1
    assert not list(folder.glob("*.boxes.png"))


def test_a_model_and_a_manifest_that_do_not_belong_together(edgewright, folder, place):
    words = ("predict", "detector.tflite", "street.png", "--workspace", place)
    manifest = folder / "detector.tflite.manifest.json"
    whole = manifest.read_text()
    (folder / "detector.tflite").write_bytes(judge_file())
    answer = edgewright(*words)
    sentence = "detector.tflite is not the model that detector.tflite.manifest.json describes"
    assert answer.exit_code == 2 and sentence in answer.err
    for content, sentence in (
        (whole[:20], "manifest detector.tflite.manifest.json is not a JSON file"),
        (whole.replace('"outputs"', '"output"'), '("outputs" is missing); make the model again with: edgewright cust'),
    ):
        manifest.write_text(content)
        answer = edgewright(*words)
        assert answer.exit_code == 2 and sentence in answer.err
    manifest.unlink()
    answer = edgewright(*words, "--json")
    assert "no manifest detector.tflite.manifest.json, which says how to read the model" in answer.json["error"]


def test_a_file_that_is_no_model_is_the_devices_word(edgewright, folder, place):
    deliver(folder / "none.tflite", b"not a model, whatever its manifest says", ATTROD)
    answer = edgewright("predict", "none.tflite", "street.png", "--workspace", place)
    assert answer.exit_code == 5 and "the model does not run on device 'local' (load_failed)" in answer.err

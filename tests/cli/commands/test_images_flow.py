"""A user's own images, one command a step, as docs/images.md writes them down.

The folder holds generated shapes in three colours; the supernet is tiny and hardly trained: what is tested is that
every step finds what the one before left.
"""

import json
import shutil

import pytest
from edgewright.converters.outputs import labels_of

from tests.data.small_folder import write_shapes, write_table

RECIPE = """
name = "tiny"
pretrain_steps = 2
joint_steps = 3
calibrate_steps = 1
n_augmented_tasks = 10

[training]
batch_size = 8
precision = "float32"

[domain]
name = "images"

[backbone]
name = "small-image-resnet"
image_shape = [3, 32, 32]

[backbone.arguments]
channels = [64, 64, 128, 128]
stem_stride = 2
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("photos") / "shapes", n=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of the recipe, the supernet and the workspace that the tests share."""
    path = tmp_path_factory.mktemp("images")
    (path / "tiny.toml").write_text(RECIPE)
    return path


@pytest.fixture
def place(folder):
    return ("--workspace", folder / "ws", "--json")


@pytest.fixture
def supernet(edgewright, photos, folder, place):
    path = folder / "supernet"
    if not path.exists():
        trained = edgewright("train", folder / "tiny.toml", "--out", path, "--data", photos, *place)
        assert trained.exit_code == 0, trained.err
        assert trained.json["recipe"]["backbone"]["arguments"]["num_classes"] == 2 + 7
    return path


def test_from_a_folder_to_a_verified_model(edgewright, photos, supernet, place, tmp_path):
    found = edgewright("data", "check", photos, *place)
    assert found.exit_code == 0 and found.json["images"]["used"] == 180

    model = tmp_path / "model.tflite"
    words = ("customize", "--supernet", supernet, "--data", photos, "--latency-ms", 50, "--out", model)
    made = edgewright(*words, "--task", "square | disc", "--size-mib", 4, *place)
    assert made.exit_code == 0 and made.json["task"] == "disc | square" and made.json["verified"], made.err
    manifest = json.loads((tmp_path / "model.tflite.manifest.json").read_text())
    assert manifest["outputs"] == {"name": "images", "labels": ["disc", "square"], "image_shape": [3, 32, 32]}
    assert labels_of(model.read_bytes()) == ("disc", "square")

    images = sorted((photos / "pictures").glob("*-000.png"))
    told = edgewright("predict", model, *images, "--out", tmp_path / "sheet.png", *place)
    assert told.exit_code == 0 and {each["answer"] for each in told.json["images"]} <= {"disc", "square"}
    assert (tmp_path / "sheet.png").exists()

    answer = edgewright(*words, "--task", "disc, not red", *place)
    assert answer.exit_code == 0 and labels_of(model.read_bytes()) == ("no", "yes"), answer.err

    refused = edgewright(*words, "--task", "disc, square", *place)
    assert refused.exit_code == 2 and "no image has both 'disc' and 'square'" in refused.err


@pytest.mark.sweep
def test_the_supernet_is_judged_and_its_models_quantised(edgewright, photos, supernet, place, tmp_path):
    judged = edgewright("supernet", "evaluate", "--supernet", supernet, "--data", photos, "--images", 8, *place)
    assert judged.exit_code == 0, judged.err
    model = tmp_path / "model.tflite"
    words = ("customize", "--supernet", supernet, "--data", photos, "--latency-ms", 50, "--out", model)
    answer = edgewright(*words, "--task", "disc | cross", "--precision", "int8", *place)
    assert answer.exit_code == 0 and labels_of(model.read_bytes()) == ("cross", "disc"), answer.err


def test_images_that_have_changed_since_training_are_refused(edgewright, photos, supernet, place, tmp_path):
    mine = tmp_path / "mine"
    shutil.copytree(photos, mine)
    lines = (mine / "labels.csv").read_text().splitlines()
    (mine / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    words = ("customize", "--supernet", supernet, "--data", mine, "--task", "red", "--latency-ms", 50)
    answer = edgewright(*words, "--out", tmp_path / "m.tflite", *place)
    assert answer.exit_code == 2 and "are not those that the supernet was trained on" in answer.err
    assert not (tmp_path / "m.tflite").exists()


def test_what_cannot_be_judged_is_refused_before_anything_is_measured(edgewright, photos, supernet, tmp_path):
    fresh = ("--workspace", tmp_path / "ws", "--json")
    words = ("customize", "--supernet", supernet, "--latency-ms", 50, "--out", tmp_path / "m.tflite", "--task")
    for more, sentence in (
        (["red"], "or their table with --data"),
        (["disc, not red, not green, not blue", "--data", photos], "do not show every answer"),
    ):
        answer = edgewright(*words, *more, *fresh)
        assert answer.exit_code == 2 and sentence in answer.err and "campaign" not in answer.err


def test_training_without_a_folder_says_what_to_name(edgewright, folder, place, tmp_path):
    answer = edgewright("train", folder / "tiny.toml", "--out", tmp_path / "s", *place)
    assert answer.exit_code == 2 and "or their table with --data" in answer.err and not (tmp_path / "s").exists()


def test_a_backbone_without_a_linear_classifier_is_refused_before_training(edgewright, place, tmp_path):
    shapes, recipe = write_shapes(tmp_path / "shapes", n=30), tmp_path / "other.toml"
    backbone, _, _ = RECIPE.partition("[backbone.arguments]")
    recipe.write_text(backbone.replace("small-image-resnet", "resnetv2_18"))
    answer = edgewright("train", recipe, "--out", tmp_path / "s", "--data", shapes, *place)
    assert answer.exit_code == 2 and "choose another timm model" in answer.err
    assert not (tmp_path / "s" / "supernet.json").exists()

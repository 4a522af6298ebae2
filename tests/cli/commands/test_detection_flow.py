"""Detection on a folder in COCO's format, one command a step, as docs/detection.md writes them down.

A real COCO is not at hand; the folder has what it has (crowds, empty images, damaged files). The supernet is tiny and
hardly trained: what is tested is that every step finds what the one before left.
"""

import json

import pytest
from PIL import Image

from tests.domains.detection.small_coco import name, write_small_coco

RECIPE = """
name = "tiny"
tasks = "attrod"
mirror = true
batch_size = 4
pretrain_steps = 2
joint_steps = 3
calibrate_steps = 1
n_augmented_tasks = 10
precision = "float32"

[backbone]
name = "detector"
image_shape = [3, 64, 64]

[backbone.arguments]
features = "resnet18"
num_classes = 4
strides = [8, 16]
width = 16
depth = 1

[backbone.arguments.arguments]
channels = [8, 8, 16, 16]
zero_init_last = false
"""


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A folder with COCO 2017's two splits."""
    root = tmp_path_factory.mktemp("coco")
    for split in ("train2017", "val2017"):
        made = write_small_coco(root / f"of-{split}")
        (root / "annotations").mkdir(exist_ok=True)
        made.images.rename(root / split)
        made.annotations.rename(root / "annotations" / f"instances_{split}.json")
    return root


def test_from_a_folder_of_photographs_to_boxes(edgewright, coco, tmp_path):
    place = ("--workspace", tmp_path / "ws", "--json")
    (tmp_path / "tiny.toml").write_text(RECIPE)

    colours = edgewright("data", "annotate", coco, *place)
    assert colours.exit_code == 0 and set(colours.json["splits"]) == {"train2017", "val2017"}

    supernet = tmp_path / "supernet"
    trained = edgewright("train", tmp_path / "tiny.toml", "--out", supernet, "--data", coco, *place)
    assert trained.exit_code == 0 and (supernet / "supernet.json").exists()
    assert json.loads((supernet / "supernet.json").read_text())["tasks"]["groups"][0][1] == [
        "person", "bicycle", "car", "motorcycle",
    ]  # fmt: skip

    model = tmp_path / "model.tflite"
    words = ("customize", "--supernet", supernet, "--data", coco, "--latency-ms", 50, "--out", model)
    made = edgewright(*words, "--task", "black motorcycles", *place)
    assert made.exit_code == 0 and made.json["task"] == "motorcycle, charcoal" and made.json["verified"]
    assert 0 <= made.json["map50"] <= 1 and made.json["customize_s"] < 5
    assert f"`edgewright profile local --supernet {supernet}` runs a longer one" in made.err

    shown = edgewright("predict", model, coco / "val2017" / name(9), "--out", tmp_path / "boxes.png", *place)
    assert shown.exit_code == 0 and shown.json["task"] == "motorcycle, charcoal"
    with Image.open(tmp_path / "boxes.png") as picture:
        assert 3 * picture.width == 4 * picture.height, "shown larger, in the photograph's own shape"

    refused = edgewright(*words, "--task", "white bicycles", *place)
    assert refused.exit_code == 2 and "no test image of" in refused.err and "'bicycle, white'" in refused.err


def test_another_folder_than_the_supernets_categories_is_refused(edgewright, tmp_path):
    answer = edgewright("train", "numvqa-resnet", "--out", tmp_path / "x", "--data", tmp_path, "--workspace", tmp_path)
    assert answer.exit_code == 2 and answer.err.startswith(f"edgewright: NumVQA takes no --data folder, got {tmp_path}")

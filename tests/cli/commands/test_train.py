"""`edgewright train`: a recipe shown, trained, and refused where a folder holds something already."""

import json

import pytest

RECIPE = """
name = "small"
pretrain_steps = 1
joint_steps = 2
calibrate_steps = 1
n_augmented_tasks = 10

[training]
batch_size = 8
precision = "float32"

[domain]
name = "numvqa"

[backbone]
name = "resnet18"

[backbone.arguments]
in_chans = 1
num_classes = 2
channels = [4, 4, 8, 8]
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_that_comes_along_is_shown_to_be_copied(edgewright, tmp_path):
    answer = edgewright("train", "numvqa-resnet", "--show")
    assert answer.exit_code == 0 and answer.out.startswith(("#", "name")) and "[backbone]" in answer.out
    nowhere = edgewright("train", "numvqa-resnet")
    assert nowhere.exit_code == 2 and "train needs --out DIR" in nowhere.err


def test_a_supernet_is_trained_once_into_a_folder(edgewright, recipe, tmp_path):
    words = ("train", recipe, "--out", tmp_path / "mine", "--workspace", tmp_path / "w")
    nothing = edgewright(*words, "--resume")
    assert nothing.exit_code == 2 and "no checkpoint in" in nothing.err and "start without --resume" in nothing.err
    answer = edgewright(*words, "--seed", 3, "--json")
    assert answer.exit_code == 0 and answer.json["recipe"]["training"]["seed"] == 3
    assert json.loads((tmp_path / "mine" / "supernet.json").read_text())["digest"] == answer.json["digest"]
    again = edgewright(*words)
    assert again.exit_code == 2 and "already holds a trained supernet; choose another folder" in again.err


def test_a_mistake_in_a_recipe_is_named(edgewright, recipe, tmp_path):
    recipe.write_text(RECIPE.replace("joint_steps", "joint_step"))
    answer = edgewright("train", recipe, "--out", tmp_path / "mine")
    assert answer.exit_code == 2 and "did you mean joint_steps" in answer.err and not (tmp_path / "mine").exists()

"""Recipes: files to copy and change, and every mistake in one named by its field."""

import json

import pytest
from edgewright.assembler.joint.recipe import ABLATIONS, Recipe
from edgewright.assembler.joint.recipe_files import load_recipe, recipe_path, shipped_recipes
from edgewright.errors import InputError


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_and_survive_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_a_copy_of_a_shipped_recipe_is_a_recipe(tmp_path):
    text = recipe_path("numvqa-resnet").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('"numvqa-resnet"', '"mine"').replace("seed = 0", "seed = 5"))
    mine = load_recipe(str(tmp_path / "mine.toml"))
    assert (mine.name, mine.seed) == ("mine", 5)
    assert mine.backbone == load_recipe("numvqa-resnet").backbone


def test_a_recipe_trained_before_there_were_newer_fields_still_loads():
    data = load_recipe("numvqa-resnet").to_json()
    for name in ("tasks", "keep_limits", "semhash_noise", "device", "patience", "categories", "mirror"):
        del data[name]
    del data["backbone"]["policy"], data["assembler"]["shared_norm"]
    assert Recipe.from_json(data).keep_limits is False


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ('batch_size = "128"', "batch_size is '128': input should be a valid integer"),
        ("batch_size = 1", "batch norm needs a batch_size of 2 or more, got 1"),
        ("joint_step = 5", "has no field joint_step; did you mean joint_steps"),
        ("joint_steps = 0", "joint_steps must be at least 1, got 0"),
        ("min_limit = 3", "min_limit must lie in .0, 1., got 3"),
        ('precision = "int8"', "precision is 'int8': input should be 'bfloat16', 'float32' or 'float64'"),
        ("[backbone]\nname = 'r'\nimage_size = 56", "has no field backbone.image_size; did you mean image_shape"),
        ("[backbone]\nimage_shape = [1, 56, 56]", "lacks backbone.name"),
        ("[assembler]\ngaters = 3", "has no field assembler.gaters; did you mean n_gaters"),
        ("seed = ", "is no TOML file: Invalid value"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(tmp_path, change, sentence):
    backbone = "" if "[backbone]" in change else '\n[backbone]\nname = "resnet18"\n'
    (tmp_path / "wrong.toml").write_text(f'name = "wrong"\n{change}\n{backbone}')
    with pytest.raises(InputError, match=sentence):
        load_recipe(str(tmp_path / "wrong.toml"))


def test_unknown_recipes_and_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="unknown recipe 'x'; there are: .*numvqa-resnet.*--show` prints one"):
        load_recipe("x")
    with pytest.raises(InputError, match="cannot read recipe .*absent.toml: No such file"):
        load_recipe(str(tmp_path / "absent.toml"))


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_one_thing_and_says_so(name):
    whole = load_recipe("numvqa-resnet").with_options(keep_limits=True, tune_steps=10)
    ablated = whole.without([name])
    assert ablated.name == f"numvqa-resnet, {name}"
    before, after = whole.to_json(), ablated.to_json()
    changed = {key for key in before if before[key] != after[key]} - {"name"}
    assert changed and changed <= {"assembler", "augmented_share", "n_augmented_tasks"} | {*ABLATIONS[name]}


def test_unknown_ablations_are_named():
    with pytest.raises(InputError, match="unknown ablation 'no-luck'; there are: single-gater, shared-norm"):
        load_recipe("numvqa-resnet").without(["no-luck"])

"""Recipes: files to copy and change; every mistake is named by its field."""

import json

import pytest
from edgewright.assembler.joint.recipe import ABLATIONS, JointRecipe
from edgewright.assembler.joint.recipe_files import load_recipe, recipe_path, shipped_recipes
from edgewright.domains.detection.settings import DetectionSettings
from edgewright.errors import InputError


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_load_and_survive_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert JointRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_a_copy_of_a_shipped_recipe_is_a_recipe(tmp_path):
    text = recipe_path("numvqa-resnet").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('"numvqa-resnet"', '"mine"').replace("seed = 0", "seed = 5"))
    mine = load_recipe(str(tmp_path / "mine.toml"))
    assert (mine.name, mine.training.seed) == ("mine", 5)
    assert mine.backbone == load_recipe("numvqa-resnet").backbone


def test_each_table_has_its_owner():
    recipe = load_recipe("attrod-digits")
    assert recipe.domain.settings == DetectionSettings(("digit-1", "digit-3", "digit-6", "digit-8"))
    assert (recipe.training.batch_size, recipe.min_limit) == (64, 0.1)
    sampling = recipe.sampling
    assert (sampling.batch_size, sampling.min_limit, sampling.n_augmented_tasks) == (64, 0.1, 400)


def test_options_reach_the_table_that_has_them():
    recipe = load_recipe("numvqa-resnet")
    changed = recipe.with_options(seed=7, joint_steps=9, pretrain_steps=None)
    assert (changed.training.seed, changed.joint_steps, changed.pretrain_steps) == (7, 9, recipe.pretrain_steps)


TABLES = ("training", "domain", "backbone", "assembler")
NEW = 'name = "wrong"\n{top}\n' + "\n".join(f"[{table}]\n{{{table}}}" for table in TABLES)
RIGHT = {"top": "", "training": "", "domain": 'name = "numvqa"', "backbone": 'name = "resnet18"', "assembler": ""}


@pytest.mark.parametrize(
    ("table", "content", "sentence"),
    [
        ("training", 'batch_size = "128"', "recipe 'wrong': training.batch_size is '128': input should be a valid int"),
        ("training", "batch_size = 1", "recipe 'wrong': batch norm needs a `batch_size` of 2 or more, got 1"),
        ("training", 'precision = "int8"', "precision is 'int8': input should be 'bfloat16', 'float32' or 'float64'"),
        ("training", "joint_steps = 3", "has no field training.joint_steps; there are: seed"),
        ("top", "joint_step = 5", "recipe 'wrong' has no field joint_step; did you mean joint_steps"),
        ("top", "batch_size = 5", "recipe 'wrong' has no field batch_size; did you mean training.batch_size"),
        ("top", "joint_steps = 0", "recipe 'wrong': `joint_steps` must be at least 1, got 0"),
        ("top", "min_limit = 3", "`min_limit` must lie in .0, 1., got 3"),
        ("domain", 'name = "numvqa"\neven_count_share = 1', "no field even_count_share; did you mean even_counts_sh"),
        ("domain", 'name = "numvq"', "recipe 'wrong': unknown task domain 'numvq'; did you mean 'numvqa'"),
        ("domain", "", "recipe 'wrong': `domain` must be a table with a name, such as one of numvqa, attrod"),
        ("backbone", 'name = "r"\nimage_size = 56', "has no field backbone.image_size; did you mean image_shape"),
        ("backbone", "image_shape = [1, 56, 56]", "recipe 'wrong' lacks backbone.name"),
        ("assembler", "gaters = 3", "has no field assembler.gaters; did you mean n_gaters"),
        ("training", "seed = ", "is not a TOML file: Invalid value"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(tmp_path, table, content, sentence):
    (tmp_path / "wrong.toml").write_text(NEW.format(**{**RIGHT, table: content}))
    with pytest.raises(InputError, match=sentence):
        load_recipe(str(tmp_path / "wrong.toml"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[backbone]\nname = "resnet18"', "the recipe lacks name"),
        ('name = "wrong"', "recipe 'wrong' lacks backbone"),
        ('name = "wrong"\n[training]\n[backbone]\nname = "resnet18"', "recipe 'wrong' lacks domain"),
        ('name = "wrong"\ndomain = "numvqa"\n', "`domain` must be a table with a name"),
    ],
)
def test_what_is_missing_is_named(tmp_path, content, sentence):
    (tmp_path / "wrong.toml").write_text(content)
    with pytest.raises(InputError, match=sentence):
        load_recipe(str(tmp_path / "wrong.toml"))


def test_unknown_recipes_and_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="unknown recipe .x.; there are: .*numvqa-resnet.* .`show` prints one"):
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

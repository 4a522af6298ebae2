"""Recipes of one flat table, from users, shipped supernets and old checkpoints, become today's recipes."""

import json
from pathlib import Path

import pytest
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.joint.recipe import JointRecipe
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.assembler.joint.upgrade import upgraded
from edgewright.errors import InputError
from edgewright.shipped import shipped_supernet

OLD = Path(__file__).with_name("flat_recipes")
ONCE_FLAT = sorted(path.stem for path in OLD.glob("*.toml"))


@pytest.mark.parametrize("name", ONCE_FLAT)
def test_a_flat_file_means_what_todays_file_means(name):
    """Those files, byte for byte as they were shipped."""
    assert load_recipe(str(OLD / f"{name}.toml")) == load_recipe(name)


@pytest.mark.parametrize("name", ONCE_FLAT)
def test_the_facts_of_a_shipped_supernet_are_a_recipe(name):
    """The file is as it was; the supernet that is loaded has today's facts."""
    on_disk = json.loads((shipped_supernet(name) / "supernet.json").read_bytes())["facts"]["recipe"]
    trained = TrainedSupernet.load(shipped_supernet(name))
    assert "tasks" in on_disk and "training" not in on_disk
    assert trained.facts["recipe"] == upgraded(on_disk)
    assert JointRecipe.from_json(trained.facts["recipe"]) == JointRecipe.from_json(on_disk) == load_recipe(name)
    assert trained.domain_name == on_disk["tasks"]


def test_fields_go_to_their_owners():
    flat = {
        "name": "mine", "tasks": "attrod", "categories": ["car"], "digit_augmentation": False, "mirror": True,
        "even_counts_share": 0.5, "seed": 3, "joint_steps": 5, "backbone": {"name": "detector"},
    }  # fmt: skip
    assert upgraded(flat) == {
        "name": "mine", "joint_steps": 5, "backbone": {"name": "detector"}, "training": {"seed": 3},
        "domain": {"name": "attrod", "categories": ["car"], "augmentation": False, "mirror": True},
    }  # fmt: skip


def test_todays_recipes_stay_as_they_are():
    data = load_recipe("numvqa-vit").to_json()
    assert upgraded(data) == data


def test_a_flat_recipe_from_before_there_were_newer_fields_still_loads():
    """The first supernets had no tasks to name, no policy and no limits to keep."""
    data = {"name": "first", "backbone": {"name": "resnet18"}, "assembler": {"n_gaters": 2}, "joint_steps": 5}
    recipe = JointRecipe.from_json(data)
    assert (recipe.domain.name, recipe.keep_limits, recipe.joint_steps) == ("numvqa", False, 5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ('batch_size = "128"', "batch_size is '128': input should be a valid integer"),
        ("batch_sizes = 5", "has no field batch_sizes; did you mean training.batch_size"),
        ("joint_step = 5", "has no field joint_step; did you mean joint_steps"),
        ('tasks = "coco"', "unknown task domain 'coco'; there are: numvqa, attrod"),
    ],
)
def test_what_is_wrong_in_a_flat_recipe_is_named(tmp_path, change, sentence):
    (tmp_path / "wrong.toml").write_text(f'name = "wrong"\n{change}\n\n[backbone]\nname = "resnet18"\n')
    with pytest.raises(InputError, match=sentence):
        load_recipe(str(tmp_path / "wrong.toml"))

"""`edgewright supernet`: what of a backbone can be gated, before anything is trained, and how good a trained one is."""

import pytest
import timm
import torch
from edgewright.supernet.supernet import modularize

OWN = """
from torch import nn

def wide():
    return nn.Sequential(nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 1))

class Lonely(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = nn.Conv2d(3, 8, 1)
    def forward(self, x):
        return self.only(x)

number = 3

def text():
    return "a module"

class Branching(Lonely):
    def forward(self, x):
        return self.only(x) if x.sum() > 0 else x

class Raising(Lonely):
    def forward(self, x):
        raise KeyError("weights")

def fails():
    raise OSError("weights.pt is not there")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's file `own_backbones.py` in the current folder."""
    (tmp_path / "own_backbones.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_backbones", raising=False)


def test_sites_and_sizes_are_those_of_the_supernet(edgewright):
    answer = edgewright("supernet", "inspect", "mobilenetv3_small_050", "--image-size", 64, "--json")
    backbone = timm.create_model("mobilenetv3_small_050")
    plan = modularize(backbone, torch.randn(2, 3, 64, 64)).plan
    assert [site["name"] for site in answer.json["sites"]] == [site.name for site in plan.sites]
    assert answer.json["largest"]["parameters"] == sum(p.numel() for p in backbone.parameters())
    assert answer.json["largest"]["macs"] == sum(layer.macs for layer in plan.layers)
    assert answer.json["smallest"]["modules"] == answer.json["n_sites"] == len(plan.sites)
    assert 0 < answer.json["smallest"]["macs"] < answer.json["largest"]["macs"] / 10
    assert 0.9 < answer.json["mac_share"] <= 1 and answer.json["input_shape"] == [3, 64, 64]
    assert "ungated, model output: classifier" in answer.err and "smallest subnet" in answer.err


def test_coupled_gates_more(edgewright):
    words = ("supernet", "inspect", "resnet10t", "--image-size", 64, "--json")
    single, coupled = edgewright(*words).json, edgewright(*words, "--policy", "coupled").json
    assert single["n_sites"] < coupled["n_sites"] and len(single["ungated"]) > len(coupled["ungated"])


def test_sites_that_are_only_a_part_of_an_axis_are_told_apart(edgewright):
    answer = edgewright("supernet", "inspect", "vit_tiny_patch16_224", "--image-size", 32, "--json")
    axis = {site["name"]: site["axis"] for site in answer.json["sites"]}
    assert axis["blocks.0.mlp.fc1"] == "whole" and axis["blocks.0.attn.qkv"] == "part"


def test_a_module_of_ones_own(edgewright, own):
    answer = edgewright("supernet", "inspect", "own_backbones:wide", "--image-size", 8, "--json").json
    # conv 3 -> 6 and conv 6 -> 4 on 64 pixels; the smallest keeps one of the six channels between them.
    site = {"name": "0", "modules": 6, "channels_per_module": 1, "producers": ["0"], "consumers": ["2"]}
    assert answer["sites"] == [{**site, "axis": "whole"}]
    assert answer["largest"] == {"modules": 6, "macs": (18 + 24) * 64, "parameters": 18 + 6 + 24 + 4}
    assert answer["smallest"] == {"modules": 1, "macs": (3 + 4) * 64, "parameters": 3 + 1 + 4 + 4}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["resnet18x"], "timm has no model 'resnet18x'; did you mean 'resnet18'"),
        (["zzz"], "timm has no model 'zzz'; timm.list_models() names all"),
        (["resnet18", "--policy", "double"], "--policy must be single or coupled, got 'double'"),
        (["resnet18", "--image-size", "0"], "--image-size must be at least 1 pixel, got 0"),
        (["repvgg_a0", "--image-size", "64"], "several producers"),
        (["own_backbones:Lonely"], "model output (only)"),
        (["own_backbones:wide", "--image-size", "-2"], "--image-size must be at least 1 pixel, got -2"),
        (["own_backbones:absent"], "own_backbones has no function 'absent'; it has: "),
        (["own_backbones:number"], "own_backbones has no function 'number'"),
        (["own_backbones:text"], "gave a str, not a torch.nn.Module"),
        (["absent_file:wide"], "No module named 'absent_file'"),
        (["own_backbones:fails"], "own_backbones fails in fails(): OSError: weights.pt is not there"),
        (["own_backbones:Raising"], "cannot be exported for an input (2, 3, 224, 224): KeyError: 'weights' (at own"),
        (["own_backbones:Branching"], "branches on values of a tensor at own_backbones.py:21, `return self.only(x) if"),
    ],
)
def test_a_refusal_is_one_sentence(edgewright, own, words, sentence):
    answer = edgewright("supernet", "inspect", *words, "--json")
    assert answer.exit_code == 2 and sentence in answer.err and answer.err.count("\n") == 1
    assert answer.json == {"error": answer.err[len("edgewright: ") : -1], "exit_code": 2}


def test_the_policy_that_would_help_is_named(edgewright):
    answer = edgewright("supernet", "inspect", "repvgg_a0", "--image-size", 64)
    assert answer.exit_code == 2 and answer.err.endswith("; --policy coupled would give it sites\n")


def test_evaluate_covers_all_sixty_tasks(edgewright, trained):
    answer = edgewright("supernet", "evaluate", "--images", 4, "--json")
    assert len({row["task"] for row in answer.json["tasks"]}) == 60
    assert all(row["ratio"] <= row["limit"] for row in answer.json["tasks"])

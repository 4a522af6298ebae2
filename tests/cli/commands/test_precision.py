"""`--precision`: campaigns, predictors and models in float16 and int8, kept apart from those in float32."""

import json
import re
import shutil
from pathlib import Path

import pytest
from edgewright.customize.templates import template_path
from edgewright.profiling.store.store import Store
from edgewright.workbench import campaigns
from edgewright.workspace import Workspace


@pytest.fixture(scope="module")
def place(trained, template, workspace, tmp_path_factory):
    place = tmp_path_factory.mktemp("precision")
    (place / "templates").mkdir()
    shutil.copy(template_path(trained, workspace / "templates"), place / "templates")
    return place


def test_customize_in_int8_profiles_the_int8_supernet_first(edgewright, place, tmp_path, monkeypatch):
    monkeypatch.setattr(campaigns, "SHORT_CAMPAIGN", 20)
    out = tmp_path / "model.tflite"
    words = ("--task", "has 3", "--latency-ms", 50, "--precision", "int8", "--test-images", 100, "--out", out)
    answer = edgewright("customize", *words, "--workspace", place, "--json")
    assert answer.exit_code == 0, answer.err
    assert "quantising the supernet to int8 once" in answer.err
    assert "no measurements with this supernet in int8 yet" in answer.err
    assert "`edgewright profile local --precision int8` runs a longer one" in answer.err
    assert re.search(r"predictions come from campaign \d of 'local'", answer.err)
    found = answer.json
    assert found["precision"] == "int8" and found["agreement"] > 0.95
    assert found["size_bytes"] == out.stat().st_size < 0.4 * found["float32"]["size_bytes"]
    assert abs(found["accuracy"] - found["float32"]["accuracy"]) <= 0.03
    assert "int8; in float32 the file has" in answer.err
    manifest = json.loads((tmp_path / "model.tflite.manifest.json").read_text())
    assert (manifest["precision"], manifest["float32"]) == ("int8", found["float32"])

    again = edgewright("customize", *words, "--workspace", place, "--json")
    assert "campaign of" not in again.err and "quantising the supernet" not in again.err


@pytest.fixture
def in_float16(edgewright, place):
    """A campaign in float16, run by the first test that needs it."""
    done = place / "profiled-in-float16"
    if not done.exists():
        told = edgewright("profile", "local", "--precision", "float16", "--subnets", 25, "--workspace", place, "--json")
        assert told.json["precision"] == "float16" and told.json["profile"]["n_failed"] == 0
        done.touch()


def test_campaigns_of_precisions_are_told_apart(edgewright, place, in_float16):
    with Store.open(Workspace(place).store) as store:
        campaigns = store.campaigns("local")
    assert len({campaign.source for campaign in campaigns}) == len(campaigns)
    report = edgewright("predictor", "report", "local", "--precision", "float16", "--workspace", place, "--json")
    assert report.exit_code == 0 and report.json["scores"]
    fitted = edgewright("predictor", "fit", "local", "--precision", "float16", "--workspace", place, "--json")
    assert fitted.json["predictors"].endswith("-float16.json")
    none = edgewright("predictor", "report", "local", "--workspace", place)
    assert none.exit_code == 2 and "no records with this supernet in float32" in none.err
    assert "run `edgewright profile local` first" in none.err


def test_what_a_budget_buys_is_of_one_precision(edgewright, place, in_float16):
    answer = edgewright("pareto", "--task", "has 3", "--precision", "float16", "--workspace", place, "--json")
    assert answer.json["precision"] == "float16"
    assert max(point["size_mib"] for point in answer.json["points"]) < 2.6  # the whole supernet has 4.8 in float32
    page = edgewright("report", place, "--precision", "float16", "--json")
    (path,) = page.json["files"]
    assert path.endswith("local-float16.html") and "float16" in Path(path).read_text()


@pytest.mark.parametrize("command", [["customize", "--task", "has 3", "--latency-ms", "1"], ["profile", "local"]])
def test_an_unknown_precision_is_one_sentence(edgewright, place, command):
    answer = edgewright(*command, "--precision", "int4", "--workspace", place)
    assert answer.exit_code == 2
    assert answer.err == "edgewright: a precision is one of float32, float16, int8; got 'int4'\n"

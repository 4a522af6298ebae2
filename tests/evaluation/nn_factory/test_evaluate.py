"""All experiments at once, on this machine with the shipped supernet; only the baselines' training is cut short."""

import csv
import shutil
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
import torch
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.costs import Budget, Cost
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.domain import AttrOd
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.errors import InputError
from edgewright.evaluation.nn_factory.accuracy import cosine, jaccard
from edgewright.evaluation.nn_factory.baselines import Baselines
from edgewright.evaluation.nn_factory.bench import Bench, full_table
from edgewright.evaluation.nn_factory.claims import break_even, claims
from edgewright.evaluation.nn_factory.evaluate import PARTS, evaluate
from edgewright.evaluation.nn_factory.options import METHODS, TASKS, Options, default_tasks
from edgewright.evaluation.nn_factory.scenarios import scenario_table
from edgewright.evaluation.nn_factory.tables import frame
from edgewright.shipped import shipped_supernets
from edgewright.training.fit import UntilFlat

from tests.domains.detection.test_domain import CATEGORIES, GRID, invented_images
from tests.report.browser import needs_chromium, open_page

pytestmark = pytest.mark.timeout(600)
SHORT = UntilFlat(evaluate_every=1, patience=9, max_steps=2, n_images=20)


@pytest.fixture(scope="module")
def options():
    first = dict(list(shipped_supernets().items())[:1])
    return Options(first, ("has, 0",), (0.7,), n_images=20, subnets=30, until=SHORT, prune_tries=2, workers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, domain, options):
    folder = tmp_path_factory.mktemp("evaluation")
    evaluate(folder, domain, options, (), lambda *_: None)
    return folder


@pytest.mark.sweep
def test_every_method_has_its_row(folder):
    rows = frame(scenario_table(folder)).set_index("method")
    assert set(rows.index) == {"edgewright", "retrain", "retrain-equal", "prune-tune"} == set(METHODS)
    assert (rows["latency_ms"] > 0).all() and (rows["memory_mib"] > 0).all()
    ours = rows.loc["edgewright"]
    assert ours["latency_ms"] <= ours["budget_ms"] and ours["memory_mib"] <= ours["budget_mib"]
    assert rows.loc["retrain", "memory_mib"] > ours["budget_mib"], "the full architecture is larger than 70 % of itself"
    assert (rows.drop("edgewright")["flat"] == "False").all(), "cut short, and said so"


@pytest.mark.sweep
def test_a_rerun_does_nothing_twice(folder, domain, options, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}

    def refuse(*_):
        raise AssertionError("this was done before")

    monkeypatch.setattr(Baselines, "_train", refuse)
    monkeypatch.setattr(Bench, "measure", refuse)
    monkeypatch.setattr("edgewright.evaluation.nn_factory.accuracy.evaluate_tasks", refuse)
    evaluate(folder, domain, options, (), lambda *_: None)
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before


@pytest.mark.sweep
def test_what_was_trained_before_a_kill_is_not_trained_again(folder, domain, options, monkeypatch):
    """The row was not written yet, the model and the budgets were."""
    path = folder / "scenarios.csv"
    whole = path.read_text()
    path.write_text("".join(line for line in whole.splitlines(True) if ",retrain," not in line))
    monkeypatch.setattr(Baselines, "_train", lambda *_: pytest.fail("trained again"))
    evaluate(folder, domain, options, ("scenarios",), lambda *_: None)
    old, new = (retrained(text) for text in (whole, path.read_text()))
    for column in ("accuracy", "seconds", "size_mib", "budget_ms"):
        assert old[column] == new[column], "the same model, and the note of what its training took"


def test_another_supernets_scenarios_are_not_mixed_in(tmp_path, domain, options):
    full_table(tmp_path).add({"supernet": "0123456789abcdef", "latency_ms": 1.0, "memory_mib": 2.0, "size_mib": 3.0})
    with pytest.raises(InputError, match="holds the scenarios of another supernet; choose another folder"):
        evaluate(tmp_path, domain, options, ("scenarios",), lambda *_: None)


@pytest.mark.sweep
def test_models_trained_side_by_side_are_those_of_one_after_the_other(tmp_path, domain):
    recipe = load_recipe("numvqa-resnet").with_options(precision="float64")
    found = []
    for workers in (1, 2):
        baselines = Baselines(tmp_path / str(workers), recipe, NumVqaObjective(domain), SHORT, workers=workers)
        jobs = [baselines.retrain(numvqa.SPACE.parse(text)) for text in ("has 1", "only one 2")]
        baselines.train(jobs, lambda _: None)
        found.append([baselines.fitted(job).model.state_dict() for job in jobs])
    for one, beside in zip(*found, strict=True):
        assert all(torch.allclose(one[key], beside[key], atol=1e-5) for key in one)


def retrained(text):
    return next(row for row in csv.DictReader(StringIO(text)) if row["method"] == "retrain")


@pytest.mark.sweep
def test_the_page_has_claims_tables_and_charts(folder):
    page = (folder / "index.html").read_text()
    for part in ("claims", "table2", "table3", "table4", "limits", "ratio", "budget", "jaccard", "cosine"):
        assert f'<section id="{part}">' in page
    assert "within a point at equal latency" in page and "not testable here" in page
    assert "http-equiv" in page and "99.7 % / 3.0 %" in page


@pytest.mark.sweep
def test_the_tables_are_there_as_markdown(folder):
    text = (folder / "README.md").read_text()
    for title in ("What the paper claims", "Table 2", "Table 3", "Table 4"):
        assert f"\n## {title}" in text
    lines = [line for line in text.splitlines() if line.startswith("| has, 0 |")]
    assert any("of full" in line for line in lines) and all(line.endswith(" |") for line in lines)
    assert "within a point at equal latency" in text
    assert "Scores are accuracy on up to 20 test images a task, of objects that no training image holds" in text


@pytest.mark.sweep
def test_methods_that_are_not_asked_for_are_left_out(folder, domain, options, tmp_path, monkeypatch):
    """In a folder with the campaign and the budgets, but without scenarios."""
    shutil.copytree(folder, tmp_path / "few")
    for name in ("scenarios.csv", "cuts.csv", "preparation.csv"):
        (tmp_path / "few" / name).unlink()
    shutil.rmtree(tmp_path / "few" / "models")
    asked = []
    train = Baselines._train

    def note(self, job):
        asked.append(job.name)
        train(self, job)

    monkeypatch.setattr(Baselines, "_train", note)
    few = replace(options, methods=("edgewright", "retrain"), workers=1)
    evaluate(tmp_path / "few", domain, few, ("scenarios",), lambda *_: None)
    assert [row["method"] for row in scenario_table(tmp_path / "few").rows] == ["edgewright", "retrain"]
    assert asked == ["retrain, has, 0"], "nothing is trained for what is left out"
    text = (tmp_path / "few" / "README.md").read_text()
    assert "Retrain, full architecture: ms / MiB" in text
    assert "Retrain at equal latency: ms / MiB" not in text and "Prune&Tune: ms / MiB" not in text


def test_unknown_methods_are_named(options):
    with pytest.raises(InputError, match="unknown method 'luck'; there are: " + ", ".join(METHODS)):
        replace(options, methods=("edgewright", "luck"))


def test_a_supernet_of_another_domain_is_refused(tmp_path, options):
    def refuse(split):
        raise AssertionError("its images are not needed to know that")

    detection = AttrOd(("digit-1", "digit-2"), Grid(64, (8, 16, 32)), refuse, "no images")
    name = next(iter(options.supernets))
    with pytest.raises(InputError, match=f"supernet '{name}' was trained for other tasks than attrod's; leave it out"):
        evaluate(tmp_path / "out", detection, options, (), lambda *_: None)
    assert not (tmp_path / "out").exists()


def test_unknown_parts_are_named(tmp_path, domain, options):
    with pytest.raises(InputError, match="unknown part 'luck'; there are: " + ", ".join(PARTS)):
        evaluate(tmp_path, domain, options, ("luck",), lambda *_: None)


@pytest.mark.filterwarnings("ignore:Unwrapped parameters")
def test_pruning_stops_within_every_bound(tmp_path, domain):
    """The device in this test says what a model of so many parameters costs: memory grows with it, latency does not."""
    recipe = load_recipe("numvqa-resnet")
    baselines = Baselines(tmp_path, recipe, NumVqaObjective(domain), SHORT, prune_tries=7)
    unified = baselines.unified().model.eval()
    size = lambda model: sum(each.numel() for each in model.parameters())  # noqa: E731
    full = size(unified)

    def measure(model):
        return Cost(latency_ms=0.1, memory_mib=8.0 * size(model) / full)

    lost, _ = baselines.find_cut(unified, Budget(latency_ms=1.0, memory_mib=4.0), measure)
    assert 3.6 < measure(baselines.cut(unified, lost).model).memory_mib <= 4.0
    assert baselines.find_cut(unified, Budget(latency_ms=0.05, memory_mib=4.0), measure)[0] is None


def test_tasks_are_the_papers_or_spread_from_little_to_much_data(domain):
    assert default_tasks(domain) == TASKS
    invented = AttrOd(CATEGORIES, GRID, lambda split: invented_images(), "invented")
    chosen = [invented.space.parse(text) for text in default_tasks(invented)]
    supplies = [invented.count(task) for task in chosen]
    assert len(set(chosen)) == 8 and supplies == sorted(supplies) and 0 < supplies[0] < supplies[-1]


def test_similarity_by_hand():
    bits = np.array([[1.0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    assert jaccard(bits)[0].tolist() == pytest.approx([1, 1 / 3, 0])
    assert cosine(bits)[0].tolist() == pytest.approx([1, 1 / 2, 0])


def test_break_even_by_hand():
    """1000 s more once, 99 s less each time."""
    each = pd.DataFrame({"method": ["edgewright", "retrain"], "seconds": [1.0, 100.0]})
    once = pd.DataFrame({"method": ["edgewright"], "what": ["supernet"], "seconds": [990.0]})
    assert break_even(each, once) == {"retrain": pytest.approx(10.0)}


def test_a_page_written_before_a_method_has_any_row_says_nothing_of_it(domain):
    row = {"task": "has, 0", "share": 0.5, "budget_ms": 1.0, "budget_mib": 1.0, "latency_ms": 0.5, "memory_mib": 0.5}
    scenarios = pd.DataFrame([{**row, "method": "edgewright", "accuracy": 0.9, "seconds": 1.0}])
    accuracy = pd.DataFrame(
        [{"supernet": "s", "task": "t", "limit": 0.2, "held_out": False, "ratio": 0.2, "accuracy": 0.9}]
    )
    none = pd.DataFrame(columns=["method", "seconds"])
    found = {claim.claim: claim for claim in claims(accuracy, scenarios, none, domain)}
    assert found["every generated model is within its budget"].verdict == "reached"
    assert "better than Prune&Tune" not in found


def test_tasks_with_little_data_are_judged_where_it_is_known_how_much_there_is(domain):
    class Counted(numvqa.NumVqa):
        def count(self, task):
            return {"has, 0": 9, "has, 1": 1200}[str(task)]

    row = {"share": 0.5, "budget_ms": 1.0, "budget_mib": 1.0, "latency_ms": 0.5, "memory_mib": 0.5, "seconds": 1.0}
    reached = {("has, 0", "edgewright"): 0.8, ("has, 0", "retrain"): 0.7, ("has, 1", "edgewright"): 0.8}
    reached["has, 1", "retrain"] = 0.99
    scenarios = pd.DataFrame(
        [{**row, "task": task, "method": method, "accuracy": right} for (task, method), right in reached.items()]
    )
    accuracy = pd.DataFrame(
        {"supernet": "s", "task": "has, 0", "limit": [0.2], "held_out": [False], "ratio": [0.2], "accuracy": [0.9]}
    )
    none = pd.DataFrame(columns=["method", "seconds"])
    claim = "better than Retrain where a task has little data (AttrOD)"
    for of, said, verdict in (
        (Counted(domain.digits), "+10.00 points on average (+10.0 to +10.0) against the full model's", "reached"),
        (domain, "", "not testable here"),
    ):
        (found,) = (each for each in claims(accuracy, scenarios, none, of) if each.claim == claim)
        assert found.found.startswith(said) and found.verdict == verdict
        assert (found.found == "") == (verdict == "not testable here")


def test_a_claim_that_is_missed_is_said_to_be(domain):
    accuracy = pd.DataFrame(
        {"supernet": "s", "task": "t", "limit": [0.05, 0.2] * 2, "held_out": [False, False, True, True],
         "ratio": [0.05, 0.3, 0.05, 0.2], "accuracy": [0.8, 0.99, 0.5, 0.6]}
    )  # fmt: skip
    found = {claim.claim: claim.verdict for claim in claims(accuracy, pd.DataFrame(), pd.DataFrame(), domain)}
    assert found["no subnet opens more than its limit"] == "not reached"
    assert found["unseen tasks lose little on average"] == "not reached"


@pytest.mark.sweep
@needs_chromium
def test_the_charts_are_drawn_without_complaint(folder, tmp_path):
    opened = open_page(folder / "index.html", tmp_path / "profile")
    assert opened.console == ()
    assert opened.points("budget") == 4 and opened.points("limits") > 10
    assert "main-svg" in opened.section("jaccard")

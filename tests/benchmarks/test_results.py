"""docs/results.md is what its sources say, and a benchmark's run reaches it."""

import json

import pandas as pd
import pytest

from benchmarks import results, runs
from benchmarks.figures import SECTIONS, benchmark_sections
from benchmarks.runs import Run


def test_the_page_is_what_its_sources_say():
    assert results.PAGE.read_text("utf-8") == results.page(), "run: python -m benchmarks.results"


def test_every_benchmark_has_a_run_and_a_section():
    known = runs.load(results.RUNS)
    assert set(known) <= {section.benchmark for section in SECTIONS}
    assert all(run.date and run.machine for each in known.values() for run in each)
    assert "Not measured yet." not in results.page()


def test_a_run_is_added_and_shown(tmp_path, capsys):
    path = tmp_path / "runs.json"
    measured = {"edgewright_s": 0.5, "litert_torch_s": 2.0, "ratio": 4.0}
    ranges = {"edgewright_range_s": [0.4, 0.6], "litert_torch_range_s": [1.0, 3.0]}
    for _ in range(2):
        runs.publish("customize", measured | ranges, path)
    assert json.loads(capsys.readouterr().out.splitlines()[0])["ratio"] == 4.0
    first, second = runs.load(path)["customize"]
    assert first == second and first.date.count("-") == 2 and "CPUs" in first.machine
    page = "\n".join(benchmark_sections(runs.load(path)))
    assert "| request to model file on disk | 0.5 s (0.4-0.6) / 0.5 s (0.4-0.6) |" in page
    assert f"Measured on {first.machine}; {first.date}." in page


def test_a_result_is_only_printed_where_no_file_is_given(capsys):
    runs.publish("customize", {"ratio": 4.0}, None)
    assert json.loads(capsys.readouterr().out) == {"ratio": 4.0}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.benchmark)
def test_a_figure_comes_from_the_run(section):
    """Each figure that is shown changes with the file."""
    known = runs.load(results.RUNS)
    changed = [Run(run.date, run.machine, _doubled(run.result), run.note) for run in known[section.benchmark]]
    before, after = (section.rows(each).splitlines()[2:] for each in (known[section.benchmark], changed))
    assert all(one != other for one, other in zip(before, after, strict=True))


def _doubled(value):
    if isinstance(value, dict):
        return {key: _doubled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_doubled(each) for each in value]
    return 2 * value if isinstance(value, int | float) else value


def test_a_method_is_summed_up_over_its_scenarios():
    row = {"method": "edgewright", "budget_ms": 1.0, "budget_mib": 1.0, "memory_mib": 0.5}
    rows = pd.DataFrame(
        [
            row | {"latency_ms": 0.9, "accuracy": 0.8, "seconds": 1.0},
            row | {"latency_ms": 1.1, "accuracy": 0.6, "seconds": 2000.0},
        ]
    )
    assert "| customised, no training | 1 of 2 | 70.0% | 1,000 s |" in results.by_method(rows, "accuracy")


def test_a_card_gives_its_first_table():
    card = "# x\n\n## What it reaches\n\nAccuracy.\n\n| a |\n|---|\n| 1 |\n\nMore:\n\n| b |\n"
    assert results.reached(card) == "Accuracy.\n\n| a |\n|---|\n| 1 |"

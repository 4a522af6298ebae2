"""The metrics of a run: its rows, and that a resumed run repeats none."""

import csv

import pytest
from edgewright.training.checkpoint import Checkpoint
from edgewright.training.evaluation import Evaluation
from edgewright.training.hooks import Checkpoints
from edgewright.training.loop import Stage, Update
from edgewright.training.metrics import Metrics
from edgewright.training.schedule import cycle

from tests.training.small import killed, run, stage
from tests.training.test_hooks import Judge


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def steps(folder):
    return [(row["stage"], int(row["step"])) for row in rows(folder)]


def test_a_row_every_few_steps_at_evaluations_and_at_the_end(tmp_path):
    evaluation = Evaluation(Judge(0.25, 0.75), 5, ["joint"], at_end=False)
    run([stage("pretrain", 2), stage("joint", 10, schedule=cycle(0.5))], [evaluation, Metrics(tmp_path, every=4)])
    assert steps(tmp_path) == [("pretrain", 2), ("joint", 4), ("joint", 5), ("joint", 8), ("joint", 10)]
    found = {int(row["step"]): row for row in rows(tmp_path) if row["stage"] == "joint"}
    assert [found[step]["validation_accuracy"] for step in (4, 5, 8, 10)] == ["", "0.25", "", "0.75"]
    assert [float(found[step]["lr_factor"]) for step in (4, 5)] == pytest.approx([0.8, 1.0])
    assert all(float(row["task_loss"]) == -float(row["accuracy"]) > 0 for row in found.values())


def test_columns_are_named_and_what_a_step_did_not_tell_is_empty(tmp_path):
    run([stage("s", 1)], [Metrics(tmp_path, more=["size", "ratio"])])
    (row,) = rows(tmp_path)
    assert list(row) == [
        "stage", "step", "task_loss", "size", "ratio", "accuracy", "validation_accuracy", "lr_factor", "elapsed_s",
    ]  # fmt: skip
    assert float(row["size"]) > 0 and row["ratio"] == ""


def test_a_stage_without_losses_has_no_rows(tmp_path):
    run([Stage("look", 3, lambda _: [Update({}, lambda step: None)]), stage("s", 1)], [Metrics(tmp_path)])
    assert steps(tmp_path) == [("s", 1)]


@pytest.mark.parametrize("at", [("first", 3), ("second", 2), ("second", 5)])
def test_a_resumed_run_writes_no_row_twice(tmp_path, at):
    """Rows that are newer than the checkpoint come again; the order of stages is the run's, not a table's."""
    stages = [stage("first", 4), stage("second", 5)]
    hooks = [Metrics(tmp_path, every=1), Checkpoints(tmp_path, 0.0, {})]
    killed(stages, hooks, at)
    checkpoint = Checkpoint.load(tmp_path)
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("second,6,1,2,3,4,5\nsecond,7,9")  # of a moment after the checkpoint, and cut
    run(stages, [Metrics(tmp_path, every=1)], resumed=checkpoint)
    assert steps(tmp_path) == [("first", n) for n in range(1, 5)] + [("second", n) for n in range(1, 6)]


def test_a_new_run_starts_a_new_file(tmp_path):
    for _ in range(2):
        run([stage("s", 1)], [Metrics(tmp_path)])
    assert steps(tmp_path) == [("s", 1)]


def test_the_curve_is_one_page(tmp_path):
    metrics = Metrics(tmp_path, more=["ratio"], every=1)
    run([stage("joint", 6)], [Evaluation(Judge(0.1, 0.2), 3, ["joint"]), metrics])
    page = metrics.log.draw_curve("joint").read_text()
    assert "validation" in page and "mean ratio" in page and len(page) > 1e6

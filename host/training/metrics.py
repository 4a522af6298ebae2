"""The metrics CSV of a run, and its curve."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import torch

from ..files import atomic_path, storage_error, write_atomic
from .loop import Hook, Loop, StepLoss

CSV_NAME = "metrics.csv"
CURVE_NAME = "curve.html"

Cell = str | int | float | None


class MetricsLog:
    """A CSV file that rows are appended to. A missing value is an empty cell.

    Columns: stage, step, task_loss, those of `more`, accuracy (the score, a share), validation_accuracy, lr_factor (the
    share of the peak learning rate), elapsed_s.
    """

    def __init__(self, path: Path, more: Sequence[str] = ()) -> None:
        self.path = path
        self.columns = (
            "stage", "step", "task_loss", *more, "accuracy", "validation_accuracy", "lr_factor", "elapsed_s",
        )  # fmt: skip

    def keep(self, stages: Sequence[str], step: int) -> None:
        """Start the file, or keep the rows of `stages` up to `step` of the last one; the others will be written again.

        Raises `StorageError`.
        """
        kept = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == len(self.columns)][1:]
            kept = [row for row in rows if row[0] in stages and (row[0] != stages[-1] or int(row[1]) <= step)]
        with atomic_path(self.path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([self.columns, *kept])

    def add(self, row: Sequence[Cell]) -> None:
        """Raises `StorageError`."""
        try:
            with open(self.path, "a", newline="") as file:
                csv.writer(file).writerow([_text(cell) for cell in row])
        except OSError as error:
            raise storage_error(self.path, error) from error

    def draw_curve(self, stage: str) -> Path:
        """Write the curve of a stage as one self-contained HTML page."""
        import pandas as pd
        from plotly.subplots import make_subplots

        table = pd.read_csv(self.path)
        rows = table[table["stage"] == stage]
        validated = rows.dropna(subset=["validation_accuracy"])
        with_ratio = "ratio" in rows
        titles = ("accuracy", "open modules") if with_ratio else ("accuracy",)
        figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, subplot_titles=titles)
        figure.add_scatter(x=rows["step"], y=rows["accuracy"].rolling(10, 1).mean(), name="training batches")
        figure.add_scatter(x=validated["step"], y=validated["validation_accuracy"], name="validation")
        if with_ratio:
            figure.add_scatter(x=rows["step"], y=rows["ratio"].rolling(10, 1).mean(), name="mean ratio", row=2, col=1)
        path = self.path.with_name(CURVE_NAME)
        write_atomic(path, figure.to_html(include_plotlyjs=True).encode())
        return path


class Metrics(Hook):
    """Writes a row every `every` steps, at each evaluation and at the end of a stage, of the first update's loss.

    Means are over all processes, so that each of them needs this hook; the first writes.
    """

    name = "metrics"

    def __init__(self, folder: Path, more: Sequence[str] = (), every: int = 50) -> None:
        self.log, self.more, self.every = MetricsLog(folder / CSV_NAME, more), tuple(more), every
        self._is_open = False

    def before_stage(self, loop: Loop) -> None:
        """Rows after the checkpoint of a resumed run are dropped."""
        if not self._is_open and loop.workers.is_first:
            names = [stage.name for stage in loop.stages]
            self.log.keep(names[: names.index(loop.stage.name) + 1], loop.step)
        self._is_open = True

    def after_step(self, loop: Loop) -> None:
        step_loss = loop.losses[0]
        due = loop.ends or loop.validation is not None or loop.step % self.every == 0
        if step_loss is not None and due:
            self._write(loop, step_loss)

    def _write(self, loop: Loop, step_loss: StepLoss) -> None:
        there = [name for name in self.more if name in step_loss.more]
        values = torch.stack([step_loss.loss, step_loss.score, *(step_loss.more[name] for name in there)])
        loss, score, *others = loop.workers.mean(values).tolist()
        more = dict(zip(there, others, strict=True))
        if loop.workers.is_first:
            self.log.add([
                loop.stage.name, loop.step, loss, *(more.get(name) for name in self.more), score, loop.validation,
                loop.rate_share, loop.elapsed_s,
            ])  # fmt: skip


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)

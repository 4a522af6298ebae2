"""The metrics CSV of a run, and its curve."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..files import atomic_path, storage_error, write_atomic

CSV_NAME = "metrics.csv"
CURVE_NAME = "curve.html"
_STAGE_ORDER = ("pretrain", "joint", "tune")


@dataclass(frozen=True)
class MetricsRow:
    """One line; accuracies are shares, `lr_factor` the share of the peak learning rate."""

    stage: str
    step: int
    task_loss: float
    gate_loss: float
    ratio: float
    accuracy: float
    validation_accuracy: float | None
    lr_factor: float
    elapsed_s: float

    def cells(self) -> list[str]:
        return ["" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in asdict(self).values()]


_HEADER = [field.name for field in fields(MetricsRow)]


class MetricsLog:
    """Appends rows; opening it for a resumed run drops the rows after the checkpoint, which will come again."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, folder: Path, stage: str, steps_done: int) -> MetricsLog:
        path = folder / CSV_NAME
        kept = []
        if path.exists():
            with open(path, newline="") as file:
                rows = list(csv.reader(file))[1:]
            limit = (_STAGE_ORDER.index(stage), steps_done)
            kept = [r for r in rows if len(r) == len(_HEADER) and (_STAGE_ORDER.index(r[0]), int(r[1])) <= limit]
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([_HEADER, *kept])
        return cls(path)

    def add(self, row: MetricsRow) -> None:
        try:
            with open(self.path, "a", newline="") as file:
                csv.writer(file).writerow(row.cells())
        except OSError as error:
            raise storage_error(self.path, error) from error

    def draw_curve(self) -> Path:
        """Write the curve of the joint stage as one self-contained HTML page."""
        import pandas as pd
        from plotly.subplots import make_subplots

        table = pd.read_csv(self.path)
        joint = table[table["stage"] == "joint"]
        validated = joint.dropna(subset=["validation_accuracy"])
        figure = make_subplots(rows=2, cols=1, shared_xaxes=True, subplot_titles=("accuracy", "open modules"))
        figure.add_scatter(x=joint["step"], y=joint["accuracy"].rolling(10, 1).mean(), name="training batches")
        figure.add_scatter(x=validated["step"], y=validated["validation_accuracy"], name="validation, limit 20 %")
        figure.add_scatter(x=joint["step"], y=joint["ratio"].rolling(10, 1).mean(), name="mean ratio", row=2, col=1)
        path = self.path.with_name(CURVE_NAME)
        write_atomic(path, figure.to_html(include_plotlyjs=True).encode())
        return path

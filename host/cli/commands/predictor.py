"""`edgewright predictor evaluate`: a report on a table of measurements, whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..output import Output

if TYPE_CHECKING:
    from ...predictors.judging.table_report import TableReport

_DRIFTS = 0.3  # errors of neighbouring rows that are alike to this degree are no chance


def evaluate(table: Path, features: str, latency: str, order: str, as_json: bool) -> None:
    from ...predictors.judging.table import FeatureTable
    from ...predictors.judging.table_report import judge

    names = [name.strip() for name in features.split(",") if name.strip()]
    report = judge(FeatureTable.read_csv(table, names, latency, order))
    output = Output(as_json)
    output.table(f"{latency} of {table}, from {report.n_features} features", _rows(report))
    output.say(_next_step(report))
    output.done({"table": str(table), "latency": latency, "features": names, "order": order, **report.to_json()})


def _rows(report: TableReport) -> dict[str, str]:
    plain = "" if report.drift_lag1 is None else f" ({report.plain_mape:.2f} % without a drift term)"
    floor = "unknown, nothing was measured twice"
    if report.noise_floor is not None:
        floor = f"{report.noise_floor:.2f} %, drift between the two measurements included"
    lag1 = "unknown, no order was given" if report.drift_lag1 is None else f"{report.drift_lag1:.2f}"
    return {
        "rows": str(report.n_rows),
        "held-out error": f"{report.mape:.2f} % MAPE{plain}",
        "within 5 %, 10 %": f"{report.within_5:.1f} %, {report.within_10:.1f} %",
        "rank correlation": "unknown" if report.spearman is None else f"{report.spearman:.4f}",
        "90 % intervals": f"hold {100 * report.coverage_90:.1f} % of the measurements",
        "noise floor": floor,
        "drift": f"errors of neighbouring rows correlate by {lag1}" if report.drift_lag1 is not None else lag1,
        "learning curve": ", ".join(f"{point.n_train}: {point.mape:.2f} %" for point in report.learning_curve),
    }


def _next_step(report: TableReport) -> str:
    """What more measuring would bring, and what it should heed."""
    before, last = report.learning_curve[-2:]
    gain = before.mape - last.mape
    more = f"the last {last.n_train - before.n_train} rows lowered the error by {gain:.2f} points"
    if report.drift_lag1 is not None and report.drift_lag1 > _DRIFTS:
        return f"{more}; the device drifted while it was measured: let a sentinel be measured every few rows"
    return more

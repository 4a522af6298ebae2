"""`edgewright predictor`: fit predictors to measurements, and judge them on measurements they have not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...wording import counted
from ..campaigns import show_report, suggesting_profile
from ..options import Json, Numbers, PredictorName, SupernetDir, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    from ...predictors.judging.table_report import TableReport

_DRIFTS = 0.3  # errors of neighbouring rows that correlate this much are no coincidence

predictor_app = typer.Typer(help="Latency and memory predictors.", no_args_is_help=True, rich_markup_mode=None)
DeviceName = Annotated[str, typer.Argument(help="Name of the device.")]


@predictor_app.command("fit")
def fit(
    device: DeviceName,
    predictor: PredictorName = "linear",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Fit predictors to the newest campaign and keep them. Fits again only when measurements change."""
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench, suggesting_profile(device, precision, supernet):
        pair = bench.pair(device, bench.supernet(supernet, precision), predictor)
        predictors, path = pair.predictors(), pair.predictors_path
    told = predictors.latency.describe()
    facts = ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)
    output.say(f"fitted to {counted(predictors.latency.n_records_, 'record', 'records')}: {path}; {facts}")
    output.done(
        {
            "device": device,
            "predictors": str(path),
            "n_records": predictors.latency.n_records_,
            "predictor": predictors.name,
            **told,
        }
    )


@predictor_app.command("report")
def report(
    device: DeviceName,
    predictor: PredictorName = "linear",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Show how well predictors do on held-out records, beside the noise floor."""
    from ...workbench.workbench import Workbench

    output = Output(json_)
    with Workbench(workspace, output.say) as bench, suggesting_profile(device, precision, supernet):
        pair = bench.pair(device, bench.supernet(supernet, precision), predictor)
        report, curve = pair.report(), pair.learning_curve()
    show_report(output, report)
    if curve is not None:
        points = ", ".join(f"{point.n_train}: {point.mape:.1f} %" for point in curve.points)
        output.say(f"held-out latency error by number of subnets: {points}; {curve.sentence}")
    output.done({"device": device, **report.to_json(), "learning_curve": None if curve is None else curve.to_json()})


@predictor_app.command("evaluate")
def evaluate(
    table: Annotated[Path, typer.Option(help="A CSV file with a header: features and measured latencies.")],
    features: Annotated[str, typer.Option(help="Names of the feature columns, comma-separated.")],
    latency: Annotated[str, typer.Option(help="Name of the column with the latencies, in any unit.")],
    order: Annotated[
        str, typer.Option(help="When rows were measured: index (in this order), none (unknown), or a column.")
    ] = "index",
    json_: Json = False,
) -> None:
    """Judge any table of measurements: how well latencies can be predicted, and how much the device drifted."""
    from ...predictors.judging.table import FeatureTable
    from ...predictors.judging.table_report import judge

    names = [name.strip() for name in features.split(",") if name.strip()]
    report = judge(FeatureTable.read_csv(table, names, latency, order))
    output = Output(json_)
    output.table(f"{latency} of {table}, from {report.n_features} features", _rows(report))
    output.say(_next_step(report))
    output.done({"table": str(table), "latency": latency, "features": names, "order": order, **report.to_json()})


def _rows(report: TableReport) -> dict[str, str]:
    plain = "" if report.drift_lag1 is None else f" ({report.plain_mape:.2f} % without a drift term)"
    floor = "unknown: nothing was measured twice"
    if report.noise_floor is not None:
        floor = f"{report.noise_floor:.2f} %, drift between the two measurements included"
    lag1 = "unknown: no order was given" if report.drift_lag1 is None else f"{report.drift_lag1:.2f}"
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
    """What more measurements would gain, and how to take them."""
    before, last = report.learning_curve[-2:]
    gain = before.mape - last.mape
    more = f"the last {last.n_train - before.n_train} rows lowered the error by {gain:.2f} points"
    if report.drift_lag1 is not None and report.drift_lag1 > _DRIFTS:
        return f"{more}; the device drifted during the measurements: measure a sentinel every few rows"
    return more

"""The entry point: commands, and how errors become one sentence and an exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import EdgewrightError
from .data_commands import data_app
from .device_commands import agent_app, device_app
from .options import DataDir, Json, MnistDir, Numbers, SupernetDir, WorkspaceDir
from .output import clean
from .supernet_commands import supernet_app

app = typer.Typer(
    name="edgewright",
    help="Builds the model that fits: a task, a device and a budget in, a measured model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
predictor_app = typer.Typer(help="Latency and memory predictors.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(device_app, name="device")
app.add_typer(agent_app, name="agent")
app.add_typer(predictor_app, name="predictor")
app.add_typer(supernet_app, name="supernet")
app.add_typer(data_app, name="data")

Bound = str | None  # text, so that "12 s" gets a sentence


@app.command()
def quickstart(
    task: Annotated[str, typer.Option(help="What the model is for.")] = "only two, even",
    subnets: Annotated[int, typer.Option(help="How many subnets to profile.")] = 200,
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.tflite"),
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """The whole flow on this machine, with the shipped supernet."""
    from .commands.customize import quickstart as run

    run(task, subnets, out, workspace, json_)


@app.command()
def customize(
    task: Annotated[str, typer.Option(help='The task\'s attributes, such as "only two, even".')],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    latency_ms: Annotated[Bound, typer.Option(help="Upper bound on the median latency.")] = None,
    memory_mib: Annotated[Bound, typer.Option(help="Upper bound on memory: growth of heap plus model file.")] = None,
    size_mib: Annotated[Bound, typer.Option(help="Upper bound on the model file.")] = None,
    confidence: Annotated[float, typer.Option(help="How sure a candidate must be to fit before it is tried.")] = 0.95,
    fill: Annotated[bool, typer.Option(help="Spend what is left of the budget on the modules wanted most.")] = True,
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("model.tflite"),
    push: Annotated[bool, typer.Option("--push", help="Leave the model on the device.")] = False,
    test_images: Annotated[int, typer.Option(help="Images it is tested on, on the device.")] = 500,
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    data: DataDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Build the model that fits a task, a device and a budget."""
    from .commands.customize import customize as run

    budget = (latency_ms, memory_mib, size_mib)
    run(task, device, budget, confidence, fill, out, push, test_images, precision, supernet, data, workspace, json_)


@app.command()
def profile(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...", help="One device, or several at once.")],
    subnets: Annotated[int, typer.Option(help="How many random subnets.")] = 200,
    seed: Annotated[int, typer.Option(help="Which random subnets.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted campaign.")] = False,
    spread: Annotated[bool, typer.Option("--spread", help="One campaign spread over identical devices.")] = False,
    patience_s: Annotated[float, typer.Option(help="How long to try to reach a lost device again.")] = 120.0,
    sentinel_every: Annotated[
        int | None, typer.Option(help="Records between two sentinels. Default: as the last campaign's drift asks for.")
    ] = None,
    backend: Annotated[str, typer.Option(help="agent, or benchmark-model: Google's tool, which you supply.")] = "agent",
    binary: Annotated[Path | None, typer.Option(help="The benchmark_model built for the device.")] = None,
    delegate: Annotated[str, typer.Option(help="With benchmark-model: cpu, xnnpack, gpu or nnapi.")] = "xnnpack",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure random subnets on devices."""
    from .backend import Backend
    from .commands.profile import ProfileOptions
    from .commands.profile import profile as run

    options = ProfileOptions(subnets, seed, threads, resume, patience_s, sentinel_every)
    run(devices, options, spread, Backend(backend, binary, delegate), precision, supernet, workspace, json_)


@predictor_app.command("fit")
def predictor_fit(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Fit predictors to the newest campaign and keep them as JSON."""
    from .commands.profile import fit as run

    run(device, precision, supernet, workspace, json_)


@predictor_app.command("report")
def predictor_report(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """How well predictors do on held-out records, beside the noise floor."""
    from .commands.profile import report as run

    run(device, precision, supernet, workspace, json_)


@predictor_app.command("evaluate")
def predictor_evaluate(
    table: Annotated[Path, typer.Option(help="A CSV file with a header: features and measured latencies.")],
    features: Annotated[str, typer.Option(help="Names of the feature columns, comma-separated.")],
    latency: Annotated[str, typer.Option(help="Name of the column with the latencies, in any unit.")],
    order: Annotated[
        str, typer.Option(help="When rows were measured: index (as they stand), none (unknown), or a column.")
    ] = "index",
    json_: Json = False,
) -> None:
    """Judge anybody's measurements: how well latencies can be predicted, and how much the device drifted."""
    from .commands.predictor import evaluate as run

    run(table, features, latency, order, json_)


@app.command()
def measure(
    model: Annotated[Path, typer.Argument(help="Any .tflite file; on desktops and Jetsons .pt2 and TorchScript too.")],
    device: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    threads: Annotated[int, typer.Option(help="Threads of the runtime.")] = 1,
    backend: Annotated[str, typer.Option(help="agent, or benchmark-model: Google's tool, which you supply.")] = "agent",
    binary: Annotated[Path | None, typer.Option(help="The benchmark_model built for the device.")] = None,
    delegate: Annotated[str, typer.Option(help="With benchmark-model: cpu, xnnpack, gpu or nnapi.")] = "xnnpack",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Measure any model file on a device: latency and memory."""
    from .backend import Backend
    from .commands.device import measure as run

    run(model, device, threads, Backend(backend, binary, delegate), workspace, json_)


@app.command()
def push(
    model: Annotated[Path, typer.Argument(help="The model file.")],
    device: Annotated[str, typer.Argument(help="Name of the device.")] = "local",
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Put a model on a device; its hash is checked there."""
    from .commands.device import push as run

    run(model, device, workspace, json_)


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A model that customize wrote, its manifest beside it.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files of any size.")],
    out: Annotated[
        Path | None, typer.Option(help="A .png file, or a folder. Default: IMAGE.boxes.png in the current folder.")
    ] = None,
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    min_score: Annotated[float, typer.Option(help="Least score of a box, within 0 and 1.")] = 0.3,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Run a model on images, on a device: boxes drawn into a picture, or an answer."""
    from .commands.predict import predict as run

    run(model, images, out, device, min_score, workspace, json_)


@app.command()
def pareto(
    task: Annotated[str, typer.Option(help='The task\'s attributes, such as "only two, even".')],
    device: Annotated[str, typer.Option(help="Name of the device.")] = "local",
    out: Annotated[Path | None, typer.Option(help="Write all points to a .csv file.")] = None,
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """What a budget buys: the answers to a task that no other beats in latency, memory, file size and score."""
    from .commands.pareto import pareto as run

    run(task, device, out, precision, supernet, workspace, json_)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A workspace with measurements.")],
    device: Annotated[str | None, typer.Option(help="Name of the device. Default: the only profiled one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: DIR/reports/DEVICE.html, or a folder of pictures.")] = None,
    format_: Annotated[str, typer.Option("--format", help="html, or the charts alone as png or svg.")] = "html",
    precision: Numbers = "float32",
    supernet: SupernetDir = None,
    json_: Json = False,
) -> None:
    """One self-contained page on a device: predictions, drift, learning curve, Pareto front, gates, verifications."""
    from .commands.report import report as run

    run(folder, device, supernet, out, format_, precision, json_)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe that comes along, such as numvqa-resnet, or a .toml file.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write the supernet to.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe instead, to start your own from.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    seed: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    pretrain_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    joint_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    ablate: Annotated[list[str] | None, typer.Option(help="Leave a part of the method out; may be repeated.")] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Train a supernet and its assembler. `torchrun` in front of it trains on several GPUs or processes."""
    from .commands.train import TrainOptions
    from .commands.train import show as show_recipe
    from .commands.train import train as run

    if show:
        return show_recipe(recipe)
    options = TrainOptions(resume, seed, pretrain_steps, joint_steps, tuple(ablate or ()))
    run(recipe, out, options, data, mnist_dir, workspace, json_)


@app.command()
def evaluate(
    space: Annotated[str, typer.Argument(metavar="TASKS", help="Whose experiments: numvqa or attrod.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where tables, models and the page go.")],
    supernet: Annotated[
        list[Path] | None, typer.Option(help="A trained supernet; may be repeated. Default: the shipped ones.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="accuracy, similarity or scenarios. Default: all.")] = None,
    images: Annotated[int, typer.Option(help="Test images per task.")] = 500,
    subnets: Annotated[int, typer.Option(help="Of the campaign on this machine.")] = 300,
    budget: Annotated[list[float] | None, typer.Option(help="Share of the full model's cost; may be repeated.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task of the scenarios; may be repeated.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="edgewright, retrain, retrain-equal or prune-tune. Default: all.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Baselines trained side by side. Default: one per core.")] = None,
    data: DataDir = None,
    mnist_dir: MnistDir = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """The paper's experiments on this machine, with its baselines: tables, and one page. Takes hours, resumes."""
    from .commands.evaluate import EvaluateOptions
    from .commands.evaluate import evaluate as run

    options = EvaluateOptions(
        supernet or [], part or [], budget or [], task or [], method or [], images, subnets, workers
    )  # fmt: skip
    run(space, folder, options, data, mnist_dir, workspace, json_)


def main() -> None:
    """Run a command; a known error is one sentence on stderr and the exit code of its kind."""
    try:
        app()
    except EdgewrightError as error:
        _fail(str(error), error.exit_code)


def _fail(sentence: str, exit_code: int) -> None:
    print(f"edgewright: {clean(sentence)}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"error": sentence, "exit_code": exit_code}))
    sys.exit(exit_code)

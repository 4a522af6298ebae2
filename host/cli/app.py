"""The entry point: commands, and how errors become one sentence and an exit code."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..errors import DeviceError, EdgewrightError, MeasurementError
from ..version import __version__
from .commands.agent import agent_app
from .commands.customize import customize
from .commands.data import data_app
from .commands.deliver import deliver
from .commands.device import device_app
from .commands.evaluate import evaluate
from .commands.measure import measure
from .commands.pareto import pareto
from .commands.predict import predict
from .commands.predictor import predictor_app
from .commands.profile import profile
from .commands.push import push
from .commands.quickstart import quickstart
from .commands.records import records_app
from .commands.report import report
from .commands.supernet import supernet_app
from .commands.train import train
from .log import LOG, add_common_options
from .output import clean

app = typer.Typer(
    name="edgewright",
    help="Builds models that fit: give a task, a device and a budget, and get a measured model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (quickstart, customize, deliver, profile, measure, push, predict, pareto, report, train, evaluate):
    app.command()(command)
for group, name in (
    (device_app, "device"),
    (agent_app, "agent"),
    (predictor_app, "predictor"),
    (records_app, "records"),
    (supernet_app, "supernet"),
    (data_app, "data"),
):
    app.add_typer(group, name=name)
add_common_options(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"edgewright {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Builds models that fit: give a task, a device and a budget, and get a measured model."""


_DEVICE_EXIT_CODES = (DeviceError.exit_code, MeasurementError.exit_code)


def main() -> None:
    """Run a command; a known error is one sentence on stderr and the exit code of its kind."""
    try:
        app()
    except EdgewrightError as error:
        LOG.tell(error)
        _fail(with_options(str(error), sys.argv[1:]), error.exit_code)


def with_options(sentence: str, words: Sequence[str]) -> str:
    """`sentence` with each `parameter` in backticks that is an option of the command in `words` as that option.

    Code below the command line knows only parameters: "start without `resume`" becomes "start without --resume".
    """
    options = _options_of(words)
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda match: options.get(match[1], match[0]), sentence)


def _options_of(words: Sequence[str]) -> dict[str, str]:
    """The options of the command that is invoked, by name: `latency_ms` is that of --latency-ms."""
    invoked, _ = _invoked(words)
    flags = (parameter.opts[0] for parameter in invoked.params)
    return {flag[2:].replace("-", "_"): flag for flag in flags if flag.startswith("--")}


def _invoked(words: Sequence[str]) -> tuple[Any, list[str]]:
    """The command that `words` begin with, and its name, a word for each group it is in."""
    invoked: Any = typer.main.get_command(app)
    names: list[str] = []
    for word in words:
        commands = getattr(invoked, "commands", {})
        if word not in commands:
            break
        invoked = commands[word]
        names.append(word)
    return invoked, names


def _fail(sentence: str, exit_code: int) -> None:
    print(f"edgewright: {clean(sentence)}", file=sys.stderr)
    # Bad input, or a budget that cannot be met, is not the link's fault.
    log = LOG.keep("-".join(_invoked(sys.argv[1:])[1]), sentence) if exit_code in _DEVICE_EXIT_CODES else None
    if log is not None:
        print(f"edgewright: what went over the link is in {log}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"error": sentence, "exit_code": exit_code} | ({"log": str(log)} if log else {})))
    sys.exit(exit_code)

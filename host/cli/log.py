"""What `--verbose` shows while a command runs, and the log file of a command that failed."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from .options import Json, WorkspaceDir
from .output import clean

_KEPT_LINES = 5000
_KEPT_FILES = 20

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show what goes over the link and where an error comes from.")
]


class CommandLog(logging.Handler):
    """The last lines of what the running command logged. They become a file when the command fails."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(name)s: %(message)s", "%H:%M:%S"))
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._verbose = False
        self._workspace: Path | None = None

    def begin(self, verbose: bool, workspace: Path | None) -> None:
        """Record all of edgewright's log messages from now on."""
        self._verbose, self._workspace = verbose, workspace
        self._lines.clear()
        logger = logging.getLogger("edgewright")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        if self not in logger.handlers:
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        line = clean(self.format(record))
        self._lines.append(line)
        if self._verbose:
            print(line, file=sys.stderr)

    def tell(self, error: BaseException) -> None:
        """With `--verbose`, where an error came from."""
        if self._verbose:
            import traceback

            print(clean("".join(traceback.format_exception(error))), file=sys.stderr, end="")

    def keep(self, command: str, sentence: str) -> Path | None:
        """Write the lines to a file in the workspace; None where nothing went over a link, or it cannot be written."""
        if not self._lines:
            return None
        from ..errors import StorageError
        from ..files import make_dir, write_atomic
        from ..workspace import Workspace

        logs = Workspace.find(self._workspace).logs
        path = logs / f"{time.strftime('%Y%m%d-%H%M%S')}-{command}.log"
        try:
            make_dir(logs)
            write_atomic(path, "\n".join([sentence, *self._lines, ""]).encode())
            for old in sorted(logs.glob("*.log"))[:-_KEPT_FILES]:
                old.unlink(missing_ok=True)
        except (StorageError, OSError) as error:
            print(f"edgewright: no log was written: {error}", file=sys.stderr)
            return None
        return path


LOG = CommandLog()


def with_common_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with `--verbose`, and with `--workspace` and `--json` where it has no use for them itself."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    common = {"workspace": (WorkspaceDir, None), "json_": (Json, False), "verbose": (Verbose, False)}
    added = [name for name in common if name not in signature.parameters]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        LOG.begin(values["verbose"], values["workspace"])
        command(**{name: value for name, value in values.items() if name not in added})

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=common[name][1], annotation=common[name][0])
        for name in added
    ]
    own = [each.replace(annotation=hints[each.name]) for each in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, **{name: common[name][0] for name in added}}
    return run


def add_common_options(app: typer.Typer) -> None:
    """To all commands of an app and of its groups."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = with_common_options(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            add_common_options(group.typer_instance)

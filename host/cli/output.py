"""The output of a command: sentences, tables and bars on stderr; with --json, one object and nothing else on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def clean(text: str) -> str:
    """Text that may come from a device, without what would steer the terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


class Output:
    """One command's output. `done` is called once, at its end. A silent one belongs to one process among several."""

    def __init__(self, as_json: bool, silent: bool = False) -> None:
        self.as_json = as_json and not silent
        self._silent = silent
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """Made on first use: importing rich costs a tenth of a second."""
        if self._console is None:
            from rich.console import Console

            width = None if sys.stderr.isatty() else 120  # a log has no edge to wrap at
            self._console = Console(stderr=True, highlight=False, soft_wrap=True, width=width, quiet=self._silent)
        return self._console

    def say(self, sentence: str) -> None:
        self.console.print(clean(sentence), markup=False)

    def table(self, title: str, rows: Mapping[str, str]) -> None:
        """Two columns: what, and its value."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(clean(title)), title_justify="left", show_header=False, box=None, pad_edge=False)
        for name, value in rows.items():
            table.add_row(Text(clean(name)), Text(clean(value)))
        self.console.print(table)

    def grid(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(*header, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(Text(clean(value)) for value in row))
        self.console.print(table)

    @contextmanager
    def bar(self, title: str) -> Iterator[Bar]:
        """A progress bar with rate and time left; on a terminal it moves, in a log it is a few lines."""
        with self.bars([title]) as (bar,):
            yield bar

    @contextmanager
    def bars(self, titles: Sequence[str]) -> Iterator[list[Bar]]:
        """One bar below the other; each may be updated from a thread of its own."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
        with Progress(*columns, TimeRemainingColumn(), console=self.console) as progress:
            yield [Bar(progress, progress.add_task(title, total=None, note="")) for title in titles]

    def done(self, result: Mapping[str, Any]) -> None:
        if self.as_json:
            print(json.dumps(result, allow_nan=False), file=sys.stdout, flush=True)


class Bar:
    """One bar of `Output.bar`."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def update(self, done: int, total: int, note: str = "", title: str | None = None) -> None:
        changes = {"completed": done, "total": total, "note": note}
        if title is not None:
            changes["description"] = title
        self._progress.update(self._task, **changes)

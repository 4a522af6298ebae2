"""`edgewright records`: measurements as a table for other programs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ...wording import counted
from ..options import Json, WorkspaceDir
from ..output import Output

if TYPE_CHECKING:
    import pandas as pd

CSV, PARQUET = ".csv", ".parquet"

records_app = typer.Typer(help="Measurements as tables.", no_args_is_help=True, rich_markup_mode=None)


@records_app.callback()
def records() -> None:
    """A group, also with one command."""


@records_app.command("export")
def export(
    device: Annotated[str, typer.Argument(help="Name of the device.")],
    out: Annotated[Path, typer.Option(help="A .csv or .parquet file.")],
    supernet: Annotated[
        list[Path] | None,
        typer.Option(help="A supernet of your own; its sites become columns. May be repeated."),
    ] = None,
    workspace: WorkspaceDir = None,
    json_: Json = False,
) -> None:
    """Write all measurements of a device to a file, one row each, including failed ones."""
    from ...files import write_atomic
    from ...workbench.workbench import Workbench

    output = Output(json_)
    if out.suffix not in (CSV, PARQUET):
        raise InputError(f"--out must end in {CSV} or {PARQUET}, got {out}")
    with Workbench(workspace, output.say) as bench:
        table = bench.records_table(device, supernet or ())
        if table.empty:
            command = f"edgewright profile {device}"
            raise InputError(f"{bench.store.path} has no records of {device!r}; run `{command}` first")
    write_atomic(out, _content(table, out))
    n_failed = int(table["error"].notna().sum())
    campaigns = sorted(set(table["campaign"].tolist()))
    measured = counted(len(table), "measurement", "measurements")
    output.say(f"{out}: {measured} of {counted(len(campaigns), 'campaign', 'campaigns')}, {n_failed} of them failed")
    output.done(
        {
            "device": device,
            "out": str(out),
            "rows": len(table),
            "failed": n_failed,
            "campaigns": campaigns,
            "columns": table.columns.tolist(),
        }
    )


def _content(table: pd.DataFrame, out: Path) -> bytes:
    if out.suffix == CSV:
        return table.to_csv(index=False).encode()
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        hint = "pip install 'edgewright[parquet]'"
        raise InputError(f"a {PARQUET} file needs pyarrow: {hint}, or use --out {out.with_suffix(CSV)}") from error
    return buffer.getvalue()

"""`edgewright data`: inspect data sets, and make one for detection."""

from __future__ import annotations

import typer

from .check import check
from .detection import annotate, coloured_digits

data_app = typer.Typer(help="Data sets: labelled images, and detection.", no_args_is_help=True, rich_markup_mode=None)
data_app.command("check")(check)
data_app.command("coloured-digits")(coloured_digits)
data_app.command("annotate")(annotate)

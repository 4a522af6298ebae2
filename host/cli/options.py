"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
WorkspaceDir = Annotated[
    Path | None,
    typer.Option("--workspace", help="Default: $EDGEWRIGHT_WORKSPACE, or else ./edgewright-workspace."),
]
SupernetDir = Annotated[
    Path | None,
    typer.Option(
        "--supernet", help="Folder of a trained supernet, or the name of a shipped one. Default: numvqa-resnet."
    ),
]
MnistDir = Annotated[
    Path | None,
    typer.Option("--mnist-dir", help="Folder of torchvision's MNIST files, instead of the 5,000 shipped digits."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Detection: a folder in COCO's format. Default: generated coloured digits."),
]
Numbers = Annotated[
    str, typer.Option("--precision", help="float32, float16 (weights in half precision) or int8 (calibrated).")
]
PredictorName = Annotated[
    str, typer.Option("--predictor", help="linear, or the name of one from an installed package.")
]
Bound = str | None  # text, so that "12 s" gets a sentence

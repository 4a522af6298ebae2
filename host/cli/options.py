"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
WorkspaceDir = Annotated[
    Path | None,
    typer.Option("--workspace", help="Default: $EDGEWRIGHT_WORKSPACE, else ./edgewright-workspace."),
]
SupernetDir = Annotated[
    Path | None,
    typer.Option("--supernet", help="Folder of a trained supernet, or a shipped one's name. Default: numvqa-resnet."),
]
MnistDir = Annotated[
    Path | None,
    typer.Option("--mnist-dir", help="torchvision's MNIST files, in place of the 5,000 digits that come along."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data", help="Detection: a folder in COCO's format. Default: generated coloured digits."),
]
Numbers = Annotated[
    str, typer.Option("--precision", help="float32, float16 (weights in half precision) or int8 (calibrated).")
]
PredictorName = Annotated[
    str, typer.Option("--predictor", help="linear, or the name of one that an installed package brings.")
]
Bound = str | None  # text, so that "12 s" gets a sentence

"""The report page of one device: what it is, how its campaign went, and what its measurements say."""

from __future__ import annotations

from . import captions
from .document import TEMPLATES, document
from .figures import figures
from .page_data import PageData, Verified

_TITLES = {
    "latency": "Predicted against measured: latency",
    "memory": "Predicted against measured: memory",
    "drift": "The device over time",
    "learning": "How many subnets are enough",
    "pareto": "What a budget buys",
    "gates": "Which modules a task opens",
}
_VERIFIED = ("when", "task", "cost", "predicted", "upper end", "measured", "budget", "fits")


def render(data: PageData) -> bytes:
    """The page, UTF-8."""
    disturbances = data.verdict.disturbances
    values = {
        "data": data,
        "kind": "unknown" if disturbances is None else "disturbed" if disturbances else "clean",
        "titles": _TITLES,
        "captions": _captions(data),
        "verified_header": _VERIFIED,
        "verified": [_verified_row(row) for row in data.verified],
    }
    return document(TEMPLATES / "device.html", f"{data.device} - Edgewright", figures(data), values)


def title_of(chart: str) -> str:
    return _TITLES[chart]


def _captions(data: PageData) -> dict[str, str]:
    said: dict[str, str] = {found.quantity: captions.predictions(found) for found in data.predictions}
    if data.drift is not None:
        said["drift"] = captions.drift(data.drift)
    if data.learning is not None:
        said["learning"] = captions.learning(data.learning)
    if data.fronts:
        said["pareto"] = captions.pareto(data.fronts)
    if data.gate_shares is not None:
        said["gates"] = captions.gate_shares(data.gate_shares)
    if data.verified:
        said["verified"] = captions.verified(data.verified)
    return said


def _verified_row(row: Verified) -> list[str | float | None]:
    fits = {True: "yes", False: "no", None: ""}[row.fits]
    numbers = [row.predicted, row.upper, row.measured, row.budget]
    return [row.when, row.task, f"{row.quantity}, {row.unit}", *numbers, fits]

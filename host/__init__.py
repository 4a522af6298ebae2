"""Edgewright builds models that fit: give a task, a device and a budget, and get a measured model.

    from edgewright import Budget, Workbench

    with Workbench("my-workspace") as bench:
        pair = bench.pair("local", "numvqa-resnet")
        pair.profile()
        model = pair.customize("only two, even", Budget(latency_ms=0.3), "model.tflite")

All names here are public; each is imported when it is first used. `docs/python.md` shows what to do with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if __name__ == "host":
    raise ImportError("import this package as 'edgewright' (pip install -e . first), not as 'host'")

from .version import __version__

if TYPE_CHECKING:
    from .assembler.joint.recipe import JointRecipe
    from .costs import Budget, Cost, Estimate
    from .customize.scenario import Scenario
    from .domains.protocol import DataSources, DomainKind
    from .domains.registry import DOMAINS
    from .errors import (
        BudgetError,
        DeviceError,
        EdgewrightError,
        InputError,
        Interrupted,
        MeasurementError,
        StorageError,
    )
    from .gates import Gates, GateSpace
    from .predictors.base import PREDICTORS
    from .supernet.supernet import modularize
    from .tasks import AttributeGroup, AttributeSpace, Task
    from .workbench.functions import deliver, measure, train
    from .workbench.measured import NotProfiled
    from .workbench.options import BenchmarkModel, CampaignOptions
    from .workbench.workbench import Workbench

__all__ = [
    "AttributeGroup",
    "AttributeSpace",
    "BenchmarkModel",
    "Budget",
    "BudgetError",
    "CampaignOptions",
    "Cost",
    "DOMAINS",
    "DataSources",
    "DeviceError",
    "DomainKind",
    "EdgewrightError",
    "Estimate",
    "GateSpace",
    "Gates",
    "InputError",
    "Interrupted",
    "JointRecipe",
    "MeasurementError",
    "NotProfiled",
    "PREDICTORS",
    "Scenario",
    "StorageError",
    "Task",
    "Workbench",
    "__version__",
    "deliver",
    "measure",
    "modularize",
    "train",
]

_ERRORS = (
    "BudgetError", "DeviceError", "EdgewrightError", "InputError", "Interrupted", "MeasurementError", "StorageError",
)  # fmt: skip
_WHERE = {
    **dict.fromkeys(_ERRORS, "errors"),
    **dict.fromkeys(("AttributeGroup", "AttributeSpace", "Task"), "tasks"),
    **dict.fromkeys(("BenchmarkModel", "CampaignOptions"), "workbench.options"),
    **dict.fromkeys(("Budget", "Cost", "Estimate"), "costs"),
    **dict.fromkeys(("DataSources", "DomainKind"), "domains.protocol"),
    **dict.fromkeys(("Gates", "GateSpace"), "gates"),
    **dict.fromkeys(("deliver", "measure", "train"), "workbench.functions"),
    "DOMAINS": "domains.registry",
    "JointRecipe": "assembler.joint.recipe",
    "NotProfiled": "workbench.measured",
    "PREDICTORS": "predictors.base",
    "Scenario": "customize.scenario",
    "Workbench": "workbench.workbench",
    "modularize": "supernet.supernet",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the package itself stays light."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

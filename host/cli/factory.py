"""The user's function that makes the module to deliver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..user_code import call_named

if TYPE_CHECKING:
    from torch import nn

_WANTED = "must return a torch module and a tuple of example inputs, and optionally a list of inputs to calibrate on"


@dataclass(frozen=True)
class Made:
    """A module, its example inputs, and sets of inputs to calibrate int8 on, or None."""

    module: nn.Module
    example_inputs: object
    calibration: list[object] | None


def make_module(target: str) -> Made:
    """What the function returns that `target` names, as `user_code.call_named` takes it.

    Raises `InputError` for code that is not there or fails, and a result of another kind.
    """
    from torch import nn

    result: Any = call_named(target)
    if not isinstance(result, (tuple, list)) or len(result) not in (2, 3):
        told = f"{len(result)} values" if isinstance(result, (tuple, list)) else f"a {type(result).__name__}"
        raise InputError(f"{target} {_WANTED}; it returned {told}")
    module, example_inputs, *more = result
    if not isinstance(module, nn.Module):
        raise InputError(f"{target} {_WANTED}; the first value it returned is a {type(module).__name__}")
    if more and not isinstance(more[0], (tuple, list)):
        raise InputError(f"{target} {_WANTED}; the third value it returned is a {type(more[0]).__name__}, not a list")
    return Made(module, example_inputs, list(more[0]) if more else None)

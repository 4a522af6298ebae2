"""Weights that a layer computes before it applies them: weight norm, spectral norm, any `torch` parametrisation.

They are sliced by their value. What they are computed from cannot be: a norm over fewer channels is another number. So
a subnet has the value as an ordinary parameter, and its layers the class they had before.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils import parametrize


def computed_tensors(backbone: nn.Module) -> dict[str, Tensor]:
    """The computed weights by name, as the layers apply them in eval mode; in training, computing may change them."""
    return {
        f"{path}.{name}" if path else name: copy.deepcopy(layer.parametrizations[name]).eval()().detach()
        for path, layer in cast("Iterator[tuple[str, Any]]", backbone.named_modules(remove_duplicate=False))
        for name in _computed_names(layer)
    }


def origins(backbone: nn.Module, tensor: str) -> list[nn.Parameter]:
    """The parameters that this tensor is computed from; none for one that is stored."""
    path, _, name = tensor.rpartition(".")
    layer: Any = backbone.get_submodule(path)
    return list(layer.parametrizations[name].parameters()) if name in _computed_names(layer) else []


def make_ordinary(module: nn.Module) -> None:
    """Replace every parametrisation by the value it has, in place. `torch` takes it off the class too, which a copy
    shares with its original; here the original keeps it."""
    for layer in list(module.modules()):
        names = list(_computed_names(layer))
        if names:
            _make_ordinary(layer, names)


def _make_ordinary(layer: Any, names: list[str]) -> None:
    trained = {name: any(p.requires_grad for p in layer.parametrizations[name].parameters()) for name in names}
    values = {name: getattr(layer, name).detach().clone() for name in names}
    layer.__class__ = parametrize.type_before_parametrizations(layer)
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, nn.Parameter(value, requires_grad=trained[name]))


def _computed_names(layer: Any) -> Iterator[str]:
    return iter(layer.parametrizations if parametrize.is_parametrized(layer) else ())

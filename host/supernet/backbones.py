"""A backbone by its name: a timm model, one from an installed package, or a user's own as `package.module:NAME`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..errors import InputError
from ..plugins import Guests
from ..user_code import call_named
from .analysis.sites import Policy

DEFAULT_SHAPE = (3, 224, 224)
BUILDERS: Guests[Callable[..., nn.Module]] = Guests(
    "edgewright.backbones",
    "backbone",
    {
        "normalised": "edgewright.supernet.normalised:build_normalised",
        "small-image-resnet": "edgewright.supernet.small_images:build_small_image_resnet",
    },
)
"""Backbones that are not timm's: each takes a recipe's arguments, `num_classes` among them, and gives the module."""


@dataclass(frozen=True)
class Backbone:
    """A timm model by name and arguments; `image_shape` is one input's `(C, H, W)`. With `whole_axes` sites that are
    only a part of some axis stay ungated: attention heads, concatenated channels."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    image_shape: tuple[int, int, int] = (1, 56, 56)
    policy: Policy = "single"
    whole_axes: bool = False


@dataclass(frozen=True)
class BuiltBackbone:
    """An untrained module in eval mode, and the shape `(C, H, W)` of one input."""

    module: nn.Module
    input_shape: tuple[int, int, int]


def build_backbone(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """An untrained timm model, or what the builder of that name makes of the arguments.

    Raises `InputError` for a name or argument that timm, or the builder, does not take.
    """
    import timm

    if name in BUILDERS.names:
        return _built(name, arguments)
    try:
        model: nn.Module = timm.create_model(name, pretrained=False, **arguments)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"timm cannot build backbone {name!r} with {dict(arguments)}: {error}") from error
    return model


def _built(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    build = BUILDERS.get(name)
    try:
        return build(**arguments)
    except TypeError as error:
        raise InputError(f"backbone {name!r} cannot be built with {dict(arguments)}: {error}") from error


def create_backbone(name: str, image_size: int | None = None) -> BuiltBackbone:
    """Build a backbone with random weights; nothing is downloaded.

    Args:
        name: a timm name, or a function without arguments that returns the module: `FILE.py:NAME`, or
            `package.module:NAME`. It is imported, from the current folder too, and so its code runs.
        image_size: pixels a side; the model's own when None, 224 for a user's module.

    Raises:
        InputError: no such model (with the names close to it), or it cannot be built for this size.
    """
    if image_size is not None and image_size < 1:
        raise InputError(f"`image_size` must be at least 1 pixel, got {image_size}")
    if ":" in name:
        size = image_size or DEFAULT_SHAPE[1]
        return BuiltBackbone(_own_module(name).eval(), (DEFAULT_SHAPE[0], size, size))
    return _timm_model(name, image_size)


def _timm_model(name: str, image_size: int | None) -> BuiltBackbone:
    import timm

    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}{_close_to(name)}")
    config = timm.get_pretrained_cfg(name)
    fixed = config is not None and config.fixed_input_size
    module: Any = build_backbone(name, {"img_size": image_size} if image_size is not None and fixed else {})
    channels, height, width = module.pretrained_cfg["input_size"]
    return BuiltBackbone(module.eval(), (channels, image_size or height, image_size or width))


def _close_to(name: str) -> str:
    import timm

    close = difflib.get_close_matches(name, timm.list_models(), n=3)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else "; timm.list_models() names all"


def _own_module(name: str) -> nn.Module:
    module = call_named(name)
    if not isinstance(module, nn.Module):
        raise InputError(f"{name!r} gave a {type(module).__name__}, not a torch.nn.Module")
    return module

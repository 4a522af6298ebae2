"""`edgewright supernet inspect`: what of a backbone can be gated, and what stays whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast, get_args

from ...errors import InputError
from ..output import Output

if TYPE_CHECKING:
    from ...supernet.inspection import Inspection, SubnetSize

_NAMED_LAYERS = 3


def inspect(backbone: str, image_size: int | None, policy: str, as_json: bool) -> None:
    from ...supernet.analysis.sites import Policy

    if policy not in get_args(Policy):
        raise InputError(f"--policy must be {' or '.join(get_args(Policy))}, got {policy!r}")
    from ...supernet.backbones import create_backbone
    from ...supernet.inspection import inspect_backbone

    output = Output(as_json)
    made = create_backbone(backbone, image_size)
    found = inspect_backbone(made, cast(Policy, policy))
    header = ["site", "modules", "channels each", "axis", "consumers"]
    rows = [
        [
            site.name,
            str(site.width),
            str(site.block),
            "part" if site.name in found.in_parts else "whole",
            _some([consumer.module for consumer in site.consumers]),
        ]
        for site in found.plan.sites
    ]
    output.grid(header, rows)
    output.table(f"{backbone} at {made.input_shape[1]} x {made.input_shape[2]}, --policy {policy}", _numbers(found))
    _say_ungated(output, found)
    shape = list(made.input_shape)
    output.done({"backbone": backbone, "policy": policy, "input_shape": shape, **found.to_json()})


def _numbers(found: Inspection) -> dict[str, str]:
    summary = found.summary
    return {
        "sites": f"{summary.n_sites} with {summary.n_modules} modules",
        "governed": f"{summary.parameter_share:.1%} of the parameters, {summary.mac_share:.1%} of the MACs",
        "smallest subnet": _size(found.smallest),
        "largest subnet": _size(found.largest),
    }


def _size(size: SubnetSize) -> str:
    return f"{size.macs / 1e6:.2f} M MACs, {size.parameters / 1e6:.3f} M parameters, {size.modules} modules"


def _say_ungated(output: Output, found: Inspection) -> None:
    from ...supernet.inspection import grouped_by_reason

    for reason, layers in grouped_by_reason(found.plan.refused).items():
        output.say(f"ungated, {reason}: {_some(layers)}")


def _some(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - _NAMED_LAYERS} more" if len(names) > _NAMED_LAYERS else ""
    return ", ".join(names[:_NAMED_LAYERS]) + more

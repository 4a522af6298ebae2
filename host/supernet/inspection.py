"""What modularising a backbone would give, before any training: its sites, and how small its subnets get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..errors import InputError
from ..gates import Gates
from .analysis.sites import Policy
from .analysis.walk import analyse
from .backbones import BuiltBackbone
from .plan import RefusedClass, SupernetPlan
from .supernet import Summary, Supernet, find_plan, in_parts, subnet_macs, summarise

SHOWN_REASONS = 3


@dataclass(frozen=True)
class SubnetSize:
    """MACs per sample, of conv and linear layers."""

    modules: int
    macs: int
    parameters: int


@dataclass(frozen=True)
class Inspection:
    """A backbone's plan with what it means in numbers."""

    plan: SupernetPlan
    summary: Summary
    smallest: SubnetSize
    largest: SubnetSize
    in_parts: frozenset[str]
    """Sites that are only a part of some axis: concatenated, split, or heads."""

    def to_json(self) -> dict[str, Any]:
        sites = [
            {
                "name": site.name,
                "modules": site.width,
                "channels_per_module": site.block,
                "producers": list(site.producers),
                "consumers": list(dict.fromkeys(consumer.module for consumer in site.consumers)),
                "axis": "part" if site.name in self.in_parts else "whole",
            }
            for site in self.plan.sites
        ]
        refused = [
            {"producers": list(r.producers), "channels": r.size, "reasons": list(r.reasons)} for r in self.plan.refused
        ]
        numbers = {"smallest": asdict(self.smallest), "largest": asdict(self.largest)}
        return {"sites": sites, **asdict(self.summary), **numbers, "ungated": refused}


def inspect_backbone(backbone: BuiltBackbone, policy: Policy) -> Inspection:
    """Modularise, self-check included, and count.

    Raises:
        InputError: the backbone has no site, with the reasons in one sentence, or it cannot be analysed.
    """
    example = torch.randn(2, *backbone.input_shape, generator=torch.Generator().manual_seed(0))  # (B, C, H, W)
    plan = find_plan(backbone.module, example, policy)
    if not plan.sites:
        raise InputError(_no_site(backbone, example, policy, plan))
    supernet = Supernet(backbone.module, plan)
    summary = summarise(supernet)
    smallest, largest = (_size(supernet, gates) for gates in (plan.space.smallest(), plan.space.full()))
    return Inspection(plan, summary, smallest, largest, in_parts(backbone.module, plan))


def grouped_by_reason(refused: Sequence[RefusedClass]) -> dict[str, list[str]]:
    """Reason -> the layers it keeps whole, most frequent first."""
    layers: dict[str, list[str]] = {}
    for each in refused:
        for reason in each.reasons:
            layers.setdefault(reason, []).extend(each.producers)
    return dict(sorted(layers.items(), key=lambda item: -len(item[1])))


def _size(supernet: Supernet, gates: Gates) -> SubnetSize:
    parameters = sum(tensor.numel() for tensor in supernet.extract(gates).parameters())
    return SubnetSize(int(gates.bits.sum()), subnet_macs(supernet.plan, gates), parameters)


def _no_site(backbone: BuiltBackbone, example: torch.Tensor, policy: Policy, plan: SupernetPlan) -> str:
    name = type(backbone.module).__name__
    if not plan.refused:
        return f"{name} has no conv or linear layer, and so nothing to gate"
    reasons = [
        f"{reason} ({layers[0]}{f' and {len(layers) - 1} more' if len(layers) > 1 else ''})"
        for reason, layers in list(grouped_by_reason(plan.refused).items())[:SHOWN_REASONS]
    ]
    sentence = f"{name} has no channels that can be sliced away under `policy` {policy}: {'; '.join(reasons)}"
    if policy == "single" and analyse(backbone.module, example, "coupled").sites:
        sentence += "; `policy` coupled would give it sites"
    return sentence

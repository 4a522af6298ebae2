"""A backbone whose channel groups can be switched per sample, and cut out as an ordinary smaller module."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..gates import Gates, GateSpace
from ..spaces.gates import SubnetSpace
from .analysis.selfcheck import self_check
from .analysis.sites import Policy
from .analysis.walk import analyse, backbone_digest
from .extraction import Extractor, tensors_of
from .gating import GateState, attach, check_gates, detach
from .parametrized import computed_tensors, origins
from .plan import SupernetPlan


class Supernet(nn.Module):
    """An ordinary backbone plus gates. Without gates it computes exactly what the backbone does.

    Shapes: `N` modules over all sites (`space.total`), in the order of `space.slices`.
    """

    def __init__(self, backbone: nn.Module, plan: SupernetPlan) -> None:
        """Attach a plan, new or saved, to a backbone.

        Raises:
            InputError: the plan was made from another backbone.
        """
        super().__init__()
        _check_belongs(backbone, plan)
        detach(backbone)
        self.backbone = backbone
        self.plan = plan
        self._state = GateState()
        self._extract = Extractor(plan)
        attach(backbone, plan, self._state)

    @property
    def space(self) -> GateSpace:
        return self.plan.space

    @property
    def subnets(self) -> SubnetSpace:
        """Its subnets as a search space: what campaigns draw from and predictors learn about."""
        return SubnetSpace(self.space, self.plan.layers)

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        """The backbone's output under `gates`: None (all open), `(N,)` for the batch, or `(B, N)` per sample.

        The gates stay in place until the next call, so that a backward pass may recompute activations.
        In training mode batch norm sees the whole batch: with gates per sample, statistics mix subnets.

        Raises:
            InputError: gates of another shape or device, or the backbone was modularised again.
        """
        if not self._state.attached:
            raise InputError("this supernet's backbone was modularised again; use the newer supernet")
        problem = None if gates is None else check_gates(gates, x, self.space.total)
        if problem is not None:
            raise InputError(problem)
        self._state.gates = gates
        output: Tensor = self.backbone(x)
        return output

    def forward_with(self, x: Tensor, gates: Gates) -> Tensor:
        """The backbone's output under one set of gates for the whole batch."""
        self._check_space(gates)
        return self.forward(x, torch.tensor(gates.bits, dtype=x.dtype, device=x.device))

    def extract(self, gates: Gates) -> nn.Module:
        """The subnet as an ordinary float32 module in eval mode: sliced copies, no hooks, the supernet untouched."""
        self._check_space(gates)
        open_units = [torch.from_numpy(mask.nonzero()[0]) for mask in gates.masks().values()]
        return self._extract(self.backbone, open_units).float()

    def _check_space(self, gates: Gates) -> None:
        if gates.space != self.space:
            raise InputError(
                f"gates of another gate space ({gates.space.digest}); this supernet's is {self.space.digest} "
                f"with {len(self.space.sites)} sites and {self.space.total} modules"
            )


def modularize(
    backbone: nn.Module,
    example: Tensor,
    policy: Policy = "single",
    check: bool = True,
    generator: torch.Generator | None = None,
    whole_axes: bool = False,
) -> Supernet:
    """Find the channels of an ordinary module that can be sliced away, and gate them where they are summed over.

    Args:
        backbone: stays the ordinary module, with idle hooks; weights and modes are left as they are.
        example: `(B, C, H, W)` with B > 1, at the size the model will be used at.
        policy: "single" makes a site of what one layer produces; "coupled" also of residual streams.
        check: compare sliced with gated in numbers, and refuse the sites that differ.
        generator: source of the check's random draws, on the CPU; seeded with 0 when None.
        whole_axes: leave sites ungated that are only a part of some axis (concatenated, split, heads).

    Raises:
        InputError: no site is left (with the reasons), or the backbone cannot be analysed.
    """
    plan = find_plan(backbone, example, policy, check, generator, whole_axes)
    if not plan.sites:
        reasons = "\n".join(f"  {refused}" for refused in plan.refused) or "  it has no conv or linear layer"
        name = type(backbone).__name__
        raise InputError(f"{name} has no channels that can be sliced away under policy {policy!r}:\n{reasons}")
    return Supernet(backbone, plan)


def find_plan(
    backbone: nn.Module,
    example: Tensor,
    policy: Policy = "single",
    check: bool = True,
    generator: torch.Generator | None = None,
    whole_axes: bool = False,
) -> SupernetPlan:
    """What `modularize` attaches; it may be without a site. Takes the gates of an earlier supernet off the backbone.

    Raises:
        InputError: the backbone cannot be analysed.
    """
    detach(backbone)
    plan = analyse(backbone, example, policy)
    if whole_axes:
        plan = plan.without(dict.fromkeys(in_parts(backbone, plan), "only a part of an axis"))
    if not check:
        return plan
    return plan.without(self_check(backbone, plan, example, generator or torch.Generator().manual_seed(0)))


def in_parts(backbone: nn.Module, plan: SupernetPlan) -> frozenset[str]:
    """The sites that are only a part of some axis, or whose units have several sizes or are counted by attributes."""
    tensors = tensors_of(backbone) | computed_tensors(backbone)
    return frozenset(
        site.name
        for site in plan.sites
        if site.sizes
        or any(
            part.block != site.block or tensors[part.tensor].shape[part.axis] != site.channels for part in site.slices
        )
    )


def subnet_macs(plan: SupernetPlan, gates: Gates) -> int:
    """MACs per sample of a subnet's conv and linear layers."""
    share = {site.name: count / site.width for site, count in zip(plan.sites, gates.counts, strict=True)}
    shares = (share.get(layer.in_site or "", 1.0) * share.get(layer.out_site or "", 1.0) for layer in plan.layers)
    return round(sum(layer.macs * each for layer, each in zip(plan.layers, shares, strict=True)))


@dataclass(frozen=True)
class Summary:
    """How much of a supernet its sites govern. A tensor or layer counts when at least one of its axes is sliced."""

    n_sites: int
    n_modules: int
    parameters: int
    macs: int
    parameter_share: float
    mac_share: float


def summarise(supernet: Supernet) -> Summary:
    """The numbers of a supernet; MACs per sample, of conv and linear layers."""
    plan = supernet.plan
    tensors = tensors_of(supernet.backbone)
    names = {part.tensor for site in plan.sites for part in site.slices}
    sliced = {id(tensors[name]) for name in names if name in tensors}
    sliced |= {id(origin) for name in names for origin in origins(supernet.backbone, name)}
    every = list(supernet.backbone.parameters())
    parameters, macs = sum(p.numel() for p in every), sum(layer.macs for layer in plan.layers)
    governed = sum(p.numel() for p in every if id(p) in sliced)
    gated_macs = sum(layer.macs for layer in plan.layers if layer.in_site or layer.out_site)
    return Summary(len(plan.sites), plan.space.total, parameters, macs, governed / parameters, gated_macs / macs)


def _check_belongs(backbone: nn.Module, plan: SupernetPlan) -> None:
    """Every module and tensor of the plan must be there with its size, and the whole backbone be the plan's."""
    modules, tensors = dict(backbone.named_modules()), tensors_of(backbone) | computed_tensors(backbone)
    for site in plan.sites:
        named = [consumer.module for consumer in site.consumers] + [layer.module for layer in site.grouped]
        for module in named:
            if module not in modules:
                raise _foreign(f"site {site.name!r}: the backbone has no module {module!r}")
        for part in site.slices:
            if part.tensor not in tensors:
                raise _foreign(f"site {site.name!r}: the backbone has no tensor {part.tensor!r}")
            shape = tuple(tensors[part.tensor].shape)
            end = part.offset + site.width * part.block
            if part.axis >= len(shape) or shape[part.axis] < end:
                wanted = f"at least {end} on axis {part.axis}"
                raise _foreign(f"site {site.name!r}: tensor {part.tensor!r} has shape {shape}, expected {wanted}")
    if backbone_digest(backbone) != plan.backbone_digest:
        raise _foreign("the backbone's tensors differ in name or shape from those the plan was made from")


def _foreign(found: str) -> InputError:
    return InputError(f"{found}; checkpoint and backbone do not belong together")

"""The promise of a supernet: a gated forward pass and the subnet cut out of it compute the same."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from edgewright.gates import Gates
from edgewright.supernet.gating import GateHook
from torch import Tensor, nn

Case = Any  # of conftest: the supernet, an input and a name


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def random_gates(case: Case, seed: int, ratio: float = 0.6) -> Gates:
    return case.supernet.space.sample(ratio, np.random.default_rng(seed))


@torch.no_grad()
def test_one_set_of_gates(case: Case) -> None:
    for seed, ratio in enumerate((0.15, 0.5, 0.85)):
        gates = random_gates(case, seed, ratio)
        gated = case.supernet(case.x, torch.tensor(gates.bits, dtype=torch.float32))
        assert relative_error(gated, case.supernet.extract(gates)(case.x)) <= 1e-5
        assert torch.equal(gated, case.supernet.forward_with(case.x, gates))


@torch.no_grad()
def test_gates_per_sample(case: Case) -> None:
    sets = [random_gates(case, seed) for seed in range(len(case.x))]
    gated = case.supernet(case.x, torch.from_numpy(np.stack([gates.bits for gates in sets])).float())
    for i, gates in enumerate(sets):
        assert relative_error(gated[i : i + 1], case.supernet.extract(gates)(case.x[i : i + 1])) <= 1e-5


@torch.no_grad()
def test_closing_half_of_any_site_changes_the_output(case: Case) -> None:
    space = case.supernet.space
    full = case.supernet(case.x)
    for where in space.slices:
        gates = torch.ones(space.total)
        gates[where.start + 1 : where.stop : 2] = 0
        assert relative_error(case.supernet(case.x, gates), full) > 1e-6


@torch.no_grad()
def test_gating_the_producers_output_would_be_wrong(case: Case) -> None:
    """The negative control: norms and biases after a producer do not map zero to zero."""
    gates = random_gates(case, 0, 0.5)
    wrong = copy.deepcopy(case.supernet.backbone)
    for site in case.supernet.plan.sites:
        for name in site.producers:
            layer = wrong.get_submodule(name)
            mask = torch.ones(len(layer.weight))
            for part in site.slices:
                if (part.tensor, part.axis) == (f"{name}.weight", 0):
                    bits = torch.tensor(gates.masks()[site.name]).float().repeat_interleave(part.block)
                    mask[part.offset : part.offset + len(bits)] = bits
            shaped = mask if isinstance(layer, nn.Linear) else mask.reshape(-1, 1, 1)
            layer.register_forward_hook(lambda _, __, y, shaped=shaped: y * shaped)
    error = relative_error(wrong(case.x), case.supernet.extract(gates)(case.x))
    if case.name == "vit":
        assert error <= 1e-5, "GELU and the sum over values map zero to zero, and nothing else lies between"
    else:
        assert error > 1e-3


@torch.no_grad()
def test_all_gates_open_is_the_backbone(case: Case) -> None:
    full = case.supernet.space.full()
    gated, plain = case.supernet.forward_with(case.x, full), case.supernet(case.x)
    assert torch.equal(gated, plain)
    assert torch.equal(case.supernet.backbone(case.x), plain)
    assert relative_error(case.supernet.extract(full)(case.x), plain) <= 1e-6


def test_extraction_leaves_the_supernet_as_it_was(case: Case) -> None:
    before = {name: tensor.clone() for name, tensor in case.supernet.state_dict().items()}
    hooks = sum(len(module._forward_pre_hooks) for module in case.supernet.modules())
    case.supernet.extract(random_gates(case, 3))
    after = case.supernet.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert sum(len(module._forward_pre_hooks) for module in case.supernet.modules()) == hooks > 0


def test_the_subnet_is_an_ordinary_smaller_module(case: Case) -> None:
    gates = random_gates(case, 4, 0.4)
    subnet = case.supernet.extract(gates)
    assert not any(isinstance(h, GateHook) for m in subnet.modules() for h in m._forward_pre_hooks.values())
    assert not any(module._forward_pre_hooks or module._forward_pre_hooks_with_kwargs for module in subnet.modules())
    assert not any(module.training for module in subnet.modules())
    assert {tensor.dtype for tensor in subnet.parameters()} == {torch.float32}
    modules = dict(subnet.named_modules())
    full = dict(case.supernet.backbone.named_parameters())
    closed = {site.name: site.width - n for site, n in zip(case.supernet.plan.sites, gates.counts, strict=True)}
    expected = {name: list(tensor.shape) for name, tensor in full.items()}
    for site in case.supernet.plan.sites:
        for part in site.slices:
            if part.tensor in expected:
                expected[part.tensor][part.axis] -= closed[site.name] * part.block
    assert {name: list(tensor.shape) for name, tensor in subnet.named_parameters()} == expected
    for name, layer in modules.items():
        if isinstance(layer, nn.Linear):
            assert [layer.out_features, layer.in_features] == expected[f"{name}.weight"]
        elif isinstance(layer, nn.Conv2d):
            assert [layer.out_channels, layer.in_channels // layer.groups] == expected[f"{name}.weight"][:2]
    memory = {tensor.data_ptr() for tensor in case.supernet.parameters()}
    assert not memory & {tensor.data_ptr() for tensor in subnet.parameters()}


def test_a_supernet_in_training_yields_a_subnet_in_eval_mode(make_case: Any) -> None:
    own = make_case("resnet18", check=False)
    own.supernet.train()
    assert not any(module.training for module in own.supernet.extract(random_gates(own, 7)).modules())
    assert all(module.training for module in own.supernet.modules())


def test_a_subnet_trains_on(case: Case) -> None:
    subnet = case.supernet.extract(random_gates(case, 5)).train()
    subnet(case.x).sum().backward()
    assert all(tensor.requires_grad for tensor in subnet.parameters())
    assert all(tensor.grad is None for tensor in case.supernet.parameters())


def test_a_half_precision_supernet_yields_a_float32_subnet(make_case: Any) -> None:
    own = make_case("resnet18", check=False)
    gates = random_gates(own, 6)
    own.supernet.bfloat16()
    assert {tensor.dtype for tensor in own.supernet.extract(gates).parameters()} == {torch.float32}

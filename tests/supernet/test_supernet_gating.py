"""Gates in use: gradients, precision, copies, checkpointing, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Site
from edgewright.supernet.gating import GateHook
from edgewright.supernet.supernet import Supernet, modularize
from torch import Tensor, nn

Case = Any


def random_rows(supernet: Supernet, rows: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([supernet.space.sample(0.6, rng).bits for _ in range(rows)])).float()


def n_hooks(module: nn.Module) -> int:
    return sum(isinstance(hook, GateHook) for m in module.modules() for hook in m._forward_pre_hooks.values())


def test_gradient_reaches_every_gate_set(case: Case) -> None:
    gates = torch.full((len(case.x), case.supernet.space.total), 0.5, requires_grad=True)
    case.supernet(case.x, gates).square().sum().backward()
    assert gates.grad is not None
    for where in case.supernet.space.slices:
        assert gates.grad[:, where].abs().sum(1).gt(0).all()
    case.supernet.zero_grad(set_to_none=True)


def test_gradient_passes_through_to_what_made_the_gates_in_training(resnet: Case) -> None:
    supernet = resnet.supernet.train()
    logits = torch.zeros(len(resnet.x), supernet.space.total, requires_grad=True)
    supernet(resnet.x, logits.sigmoid()).sum().backward()
    assert logits.grad is not None and logits.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in supernet.parameters())


def test_gates_follow_the_dtype_under_autocast(resnet: Case) -> None:
    gates = random_rows(resnet.supernet, len(resnet.x)).requires_grad_()
    seen: list[torch.dtype] = []
    resnet.supernet.backbone.fc.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        output = resnet.supernet(resnet.x, gates)
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16 and gates.grad is not None and gates.grad.dtype == torch.float32
    reference = resnet.supernet(resnet.x, gates)
    assert (output - reference).abs().max() <= 0.05 * reference.abs().max()


@torch.no_grad()
def test_gates_do_not_outlive_a_call_without_them(resnet: Case) -> None:
    full = resnet.supernet(resnet.x)
    gated = resnet.supernet(resnet.x, random_rows(resnet.supernet, 3))
    assert not torch.equal(gated, full)
    assert torch.equal(resnet.supernet(resnet.x), full)


def test_activation_checkpointing_recomputes_with_the_same_gates(resnet: Case) -> None:
    gates = random_rows(resnet.supernet, len(resnet.x))
    gradients = []
    for enabled in (False, True):
        resnet.supernet.backbone.set_grad_checkpointing(enabled)
        resnet.supernet.zero_grad(set_to_none=True)
        resnet.supernet(resnet.x, gates).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in resnet.supernet.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_copies_are_gated_on_their_own(resnet: Case) -> None:
    gates = random_rows(resnet.supernet, len(resnet.x))
    live = resnet.supernet(resnet.x, (gates.clone().requires_grad_() * 1.0))  # gates of an autograd graph stay behind
    twin = copy.deepcopy(resnet.supernet)
    with torch.no_grad():
        assert torch.equal(twin(resnet.x, gates), live)
        full = resnet.supernet(resnet.x)
        twin(resnet.x, gates)
        assert torch.equal(resnet.supernet.backbone(resnet.x), full)


def test_modularising_twice_does_not_stack_hooks(resnet: Case) -> None:
    first = resnet.supernet
    hooks = n_hooks(first.backbone)
    second = modularize(first.backbone, resnet.x, check=False).eval()
    assert second.plan == first.plan
    assert n_hooks(first.backbone) == hooks == sum(len(site.consumers) for site in second.plan.sites)
    second(resnet.x, torch.full((second.space.total,), 0.5))
    with pytest.raises(InputError, match="modularised again"):
        first(resnet.x)


def test_analysis_leaves_weights_and_modes(resnet: Case) -> None:
    backbone = resnet.supernet.backbone.train()
    backbone.bn1.eval()
    modes = {name: module.training for name, module in backbone.named_modules()}
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    requires = {name: parameter.requires_grad for name, parameter in backbone.named_parameters()}
    state = torch.get_rng_state()
    modularize(backbone, resnet.x)
    assert {name: module.training for name, module in backbone.named_modules()} == modes
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())
    assert {name: parameter.requires_grad for name, parameter in backbone.named_parameters()} == requires
    assert torch.equal(torch.get_rng_state(), state), "random draws must come from the generator only"


def test_idle_hooks_leave_the_exported_graph_as_it_is(resnet: Case) -> None:
    def operations(module: nn.Module) -> list[str]:
        return [str(node.target) for node in torch.export.export(module, (resnet.x,)).graph.nodes]

    gated = operations(resnet.supernet.backbone)
    assert gated == operations(resnet.supernet.extract(resnet.supernet.space.full()))


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((7,), "must have shape"), ((2, None), "for a batch of 3"), ((3, 1, None), "must have shape")],
)
def test_gates_of_a_wrong_shape(resnet: Case, shape: tuple[int | None, ...], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resnet.supernet(resnet.x, torch.ones([resnet.supernet.space.total if n is None else n for n in shape]))


def test_gates_of_another_space(resnet: Case) -> None:
    foreign = GateSpace((Site("elsewhere", 4),)).full()
    with pytest.raises(InputError, match="another gate space"):
        resnet.supernet.extract(foreign)
    with pytest.raises(InputError, match="another gate space"):
        resnet.supernet.forward_with(resnet.x, foreign)


@torch.no_grad()
def test_windows_folded_into_the_batch() -> None:
    """Attention over windows puts several rows per sample into the batch axis of a consumer."""

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.mix, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 3), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            B, C, H, W = x.shape
            x = x.reshape(B, C, 2, H // 2, 2, W // 2).permute(0, 2, 4, 1, 3, 5).reshape(B * 4, C, H // 2, W // 2)
            return self.out(self.mix(x).relu().mean((2, 3))).reshape(B, 4, 4).mean(1)

    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    supernet = modularize(Windows(), x).eval()
    assert [site.name for site in supernet.plan.sites] == ["stem", "mix"]
    gates = random_rows(supernet, 3)
    for i in range(3):
        alone = supernet.extract(supernet.space.unpack(np.packbits(gates[i].numpy().astype(bool)).tobytes()))
        together = supernet(x, gates)[i]
        assert torch.allclose(together, alone(x[i : i + 1])[0], atol=1e-6)

"""torch-pruning's DependencyGraph, an independent analysis, must slice the same tensors together."""

from __future__ import annotations

from typing import Any

import pytest
import torch_pruning
from torch import nn

TensorAxis = tuple[str, int]


def tensor_axes(group: Any, graph: Any, names: dict[nn.Module, str]) -> set[TensorAxis]:
    found: set[TensorAxis] = set()
    for dependency, _ in group:
        module = dependency.target.module
        if module not in names:
            continue  # an elementwise operation
        name = names[module]
        present = {key for key, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.dim()}
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not graph.is_out_channel_pruning_fn(dependency.handler):
            found.add((f"{name}.weight", 1))
        else:
            found |= {(f"{name}.{key}", 0) for key in present}
    return found


@pytest.mark.parametrize("policy", ["single", "coupled"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3"])
def test_the_same_tensors_are_sliced_together(make_case: Any, name: str, policy: str) -> None:
    case = make_case(name, policy)
    backbone = case.supernet.backbone
    graph = torch_pruning.DependencyGraph().build_dependency(backbone, example_inputs=case.x)
    names = {module: path for path, module in backbone.named_modules()}
    for site in case.supernet.plan.sites:
        producer = backbone.get_submodule(site.producers[0])
        prune = torch_pruning.prune_linear_out_channels if isinstance(producer, nn.Linear) else None
        group = graph.get_pruning_group(producer, prune or torch_pruning.prune_conv_out_channels, idxs=[0])
        assert tensor_axes(group, graph, names) == {(part.tensor, part.axis) for part in site.slices}, site.name

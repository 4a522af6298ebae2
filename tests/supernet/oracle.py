"""What torch-pruning's DependencyGraph, an independent analysis, slices together with a unit of a site."""

from __future__ import annotations

from typing import Any

import torch_pruning
from edgewright.supernet.plan import SitePlan
from torch import Tensor, nn

Element = tuple[str, int, int]  # tensor, axis, index on it

KNOWN = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.modules.batchnorm._BatchNorm, nn.PReLU)


class Oracle:
    def __init__(self, backbone: nn.Module, x: Tensor) -> None:
        self._backbone = backbone
        self._graph = torch_pruning.DependencyGraph().build_dependency(backbone, example_inputs=x, verbose=False)
        self._names = {module: path for path, module in backbone.named_modules()}

    def sliced_with_first_unit(self, site: SitePlan) -> set[Element]:
        """Everything that goes when the first unit of the site goes."""
        producer = self._backbone.get_submodule(site.producers[0])
        weight = f"{site.producers[0]}.weight"
        starts = [part.offset for part in site.slices if (part.tensor, part.axis) == (weight, 0)]
        indices = [start + i for start in starts for i in range(site.block)]
        is_linear = isinstance(producer, nn.Linear)
        prune = torch_pruning.prune_linear_out_channels if is_linear else torch_pruning.prune_conv_out_channels
        group = self._graph.get_pruning_group(producer, prune, idxs=indices)
        return {element for dependency, found in group for element in self._elements(dependency, found)}

    def _elements(self, dependency: Any, indices: list[int]) -> set[Element]:
        module = dependency.target.module
        if module not in self._names or not isinstance(module, KNOWN):
            return set()  # an elementwise operation
        name = self._names[module]
        layer = isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear))
        if layer and not self._graph.is_out_channel_pruning_fn(dependency.handler):
            return {(f"{name}.weight", 1, index) for index in indices}
        tensors = [*module.named_parameters(), *module.named_buffers()]
        return {(f"{name}.{key}", 0, index) for key, tensor in tensors if tensor.dim() for index in indices}


def planned_with_first_unit(backbone: nn.Module, site: SitePlan) -> set[Element]:
    """The same by our plan."""
    return {
        (part.tensor, part.axis, part.offset + i)
        for part in site.slices
        if isinstance(backbone.get_submodule(part.tensor.rpartition(".")[0]), KNOWN)
        for i in range(part.block)
    }

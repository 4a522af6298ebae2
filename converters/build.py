"""Builds a template from a supernet: converts it once, plans its slicing twice, checks the result against torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from edgewright.device_agent.template import Template, TemplateSite
from numpy.typing import NDArray
from torch import Tensor, nn

from .errors import ConversionError
from .flatbuffer import Graph
from .packing import pack_template
from .parity import check_parity, reference_outputs
from .probe_plan import check_constants, plan_by_probes, probe_counts
from .seeds import find_producers
from .slice_plan import Counts, require_agreement
from .torch_to_tflite import convert
from .union_plan import plan_by_union

Masks = Mapping[str, NDArray[np.bool_]]  # site -> (D,), True where a module is open
Extract = Callable[[Masks], nn.Module]

PARITY_SAMPLES = 3
PARITY_TOLERANCE = 1e-4  # of the largest output; sliced float32 models stayed within 2e-6 in tests


def build_template(
    module: nn.Module,
    example: Tensor,
    sites: Sequence[TemplateSite],
    extract: Extract,
    rng: np.random.Generator | None = None,
) -> Template:
    """Convert a supernet once, so that any of its subnets can be cut out of the result.

    It takes one conversion of the supernet and, in nearly all cases, one of a pruned subnet.

    Args:
        module: the supernet with everything open, in eval mode; each site has the name of the submodule that makes it.
        example: one sample, `(1, C, H, W)`.
        extract: the pruned module of these masks, in eval mode.
        rng: draws the subnets to compare and their inputs; seeded with 0 when None.

    Raises:
        ConversionError: the module cannot be converted, a site cannot be sliced (the error names it), or the planners
                disagree.
        ParityError: the outputs of the template and of torch differ.
    """
    _check_sites(sites)
    rng = rng or np.random.default_rng(0)
    graph = Graph(convert(module, example))
    plan = plan_by_union(graph, sites, find_producers(graph, module, sites))
    counts = probe_counts(sites)
    masks = [random_masks(sites, count, rng) for count in counts]
    probes = [Graph(convert(extract(mask), example)) for mask in masks]
    require_agreement(graph, plan, plan_by_probes(graph, probes), sites, counts)
    template = pack_template(graph, plan, sites)
    for mask, probe in zip(masks, probes, strict=True):
        check_constants(Graph(template.emit(pack_masks(sites, mask)).tobytes()), probe)
    _check_against_torch(template, module, example, extract, rng)
    return template


def pack_masks(sites: Sequence[TemplateSite], masks: Masks) -> bytes:
    """Masks packed for `Template.emit`."""
    return np.packbits(np.concatenate([masks[site.name] for site in sites])).tobytes()


def random_masks(sites: Sequence[TemplateSite], counts: Counts, rng: np.random.Generator) -> Masks:
    """`counts` modules of each site, chosen by `rng`."""
    masks = {}
    for site in sites:
        masks[site.name] = np.zeros(site.width, bool)
        masks[site.name][rng.permutation(site.width)[: counts[site.name]]] = True
    return masks


def _check_sites(sites: Sequence[TemplateSite]) -> None:
    names = [site.name for site in sites]
    if not names or len(set(names)) != len(names):
        raise ConversionError(f"a template needs at least one site, and unique names, got {names}")


def _check_against_torch(
    template: Template, module: nn.Module, example: Tensor, extract: Extract, rng: np.random.Generator
) -> None:
    """Compare the full model and one random subnet with torch, on the example and on noise."""
    sites = template.sites
    noise = rng.standard_normal((PARITY_SAMPLES, *example.shape[1:]), np.float32)
    inputs = torch.cat([example.detach().cpu(), torch.from_numpy(noise)])
    full = {site.name: np.ones(site.width, bool) for site in sites}
    random = random_masks(sites, {site.name: int(rng.integers(1, site.width + 1)) for site in sites}, rng)
    for masks, reference in ((full, module), (random, extract(random))):
        scale = float(np.abs(reference_outputs(reference, inputs)).max())
        content = template.emit(pack_masks(sites, masks)).tobytes()
        check_parity(reference, content, inputs, atol=PARITY_TOLERANCE * scale, rtol=PARITY_TOLERANCE)

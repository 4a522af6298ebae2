"""Builds the template of a quantised supernet, whose slices have the latency of quantised subnets.

Scales and ranges are those of the whole supernet, so a slice is less accurate than a subnet quantised by itself. Slices
are for profiling only; each delivered model is quantised by itself.
"""

from __future__ import annotations

import numpy as np
from edgewright.device_agent.template import Template
from numpy.typing import NDArray
from torch import nn

from .build import Masks, pack_masks, random_masks
from .errors import ConversionError
from .flatbuffer import Graph, Operator
from .packing import pack_template
from .parity import tflite_outputs
from .precision import Precision
from .probe_plan import check_constants, plan_by_probes, probe_counts
from .quantize import quantize
from .seeds import find_producers
from .slice_plan import SlicePlan, open_channels, require_agreement
from .union_plan import plan_by_union

N_CHECKED = 3  # samples on which a slice is compared
_CASTS = ("QUANTIZE", "DEQUANTIZE")
_CONTRACTIONS = ("CONV_2D", "FULLY_CONNECTED")  # sum over the last axis of their weights
_TOLERANCE = {Precision.FLOAT16: 1e-5, Precision.INT8: 0.0}  # of the largest output; sums of floats may be reordered


def quantize_template(
    template: Template, module: nn.Module, precision: Precision, calibration: NDArray[np.float32]
) -> Template:
    """Quantise the whole supernet, plan its slicing with both planners, and check the slices.

    Args:
        template: the float32 template.
        module: the supernet that the template was made from, with everything open.
        calibration: `(n, C, H, W)` samples of mixed tasks.

    Raises:
        ConversionError: the quantiser fails, the planners disagree (names the site), or a slice differs from the
            quantised supernet with the same modules closed.
    """
    sites = template.sites
    full = template.emit(pack_masks(sites, {site.name: np.ones(site.width, bool) for site in sites})).tobytes()
    quantised = quantize(full, precision, calibration)
    graph, original = Graph(quantised), Graph(full)
    counterparts = _counterparts(original, graph)
    producers = find_producers(original, module, sites)
    producers = {name: tuple(counterparts[call] for call in calls) for name, calls in producers.items()}
    plan = plan_by_union(graph, sites, producers)
    rng = np.random.default_rng(0)
    counts = probe_counts(sites)
    masks = [random_masks(sites, count, rng) for count in counts]
    probes = [_quantized_subnet(template, mask, precision, calibration) for mask in masks]
    require_agreement(graph, plan, plan_by_probes(graph, probes), sites, counts)
    sliced = pack_template(graph, plan, sites)
    for mask, probe in zip(masks, probes, strict=True):
        content = sliced.emit(pack_masks(sites, mask)).tobytes()
        if precision is Precision.FLOAT16:  # int8 scales are the supernet's, not the subnet's
            check_constants(Graph(content), probe)
        _check_masked(content, Graph(quantised), plan, mask, precision, calibration[:N_CHECKED])
    return sliced


def _quantized_subnet(
    template: Template, masks: Masks, precision: Precision, calibration: NDArray[np.float32]
) -> Graph:
    content = template.emit(pack_masks(template.sites, masks)).tobytes()
    return Graph(quantize(content, precision, calibration[:N_CHECKED]))


def _counterparts(graph: Graph, quantised: Graph) -> dict[int, int]:
    """Operator of the float32 model -> the same operator of the quantised model, which also has casts."""
    before, after = (
        [operator for operator in each.operators if operator.name not in _CASTS] for each in (graph, quantised)
    )
    if [operator.name for operator in before] != [operator.name for operator in after]:
        raise ConversionError("LiteRT's quantiser changed the operators of the supernet, so it cannot be sliced")
    return {one.index: other.index for one, other in zip(before, after, strict=True)}


def _check_masked(
    content: bytes,
    quantised: Graph,
    plan: SlicePlan,
    masks: Masks,
    precision: Precision,
    samples: NDArray[np.float32],
) -> None:
    """Compare a slice with the quantised supernet whose closed modules have weights of zero."""
    for operator in quantised.operators:
        if operator.name in _CONTRACTIONS:
            _close(quantised, plan, masks, _stored_weights(quantised, operator))
    expected = tflite_outputs(quantised.pack(()), samples)  # (B, ...)
    difference = float(np.abs(tflite_outputs(content, samples) - expected).max())
    if not difference <= _TOLERANCE[precision] * float(np.abs(expected).max()):
        raise ConversionError(
            f"a slice of the {precision} supernet differs by {difference:.3g} from the supernet with the same modules "
            f"closed; profile this supernet in float32"
        )


def _stored_weights(graph: Graph, operator: Operator) -> int:
    """The constant that holds an operator's weights, which a cast may widen."""
    weights = operator.inputs[1]
    return next((each.inputs[0] for each in graph.operators if weights in each.outputs), weights)


def _close(graph: Graph, plan: SlicePlan, masks: Masks, weights: int) -> None:
    """Set the weights for closed modules to zero, which means zero since weights are quantised symmetrically."""
    runs = plan.axes.get((weights, len(graph.shape(weights)) - 1))
    if runs is None:
        return
    value = graph.value(weights).copy()
    value[..., ~open_channels(runs, masks)] = 0
    graph.set_value(weights, value)

"""A slice of the quantised supernet is the quantised supernet with the same modules closed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.converters.build import pack_masks
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import Graph
from edgewright.converters.parity import tflite_outputs
from edgewright.converters.precision import Precision
from edgewright.converters.quantize import quantize
from edgewright.converters.quantized_template import quantize_template
from edgewright.converters.seeds import call_paths
from edgewright.device_agent.template import Template

Built = Any  # of conftest: a supernet, its template, and a converted subnet
FLOAT16, INT8 = Precision.FLOAT16, Precision.INT8


def samples(case: Built, n: int = 16) -> np.ndarray:
    shape = (n, *case.supernet.example.shape[1:])
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


@pytest.fixture(scope="module", params=["resnet_built", "mixed_built"])
def case(request: pytest.FixtureRequest) -> Built:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def quantised(case: Built) -> dict[Precision, Template]:
    arguments = (case.template, case.supernet.module)
    return {precision: quantize_template(*arguments, precision, samples(case)) for precision in (FLOAT16, INT8)}


def emitted(template: Template, masks: Any) -> bytes:
    return template.emit(pack_masks(template.sites, masks)).tobytes()


def full(template: Template) -> bytes:
    return emitted(template, {site.name: np.ones(site.width, bool) for site in template.sites})


def with_modules_closed(case: Built, content: bytes, masks: Any) -> bytes:
    """The whole int8 model; where a layer sums over a site, what comes from closed modules weighs nothing."""
    graph, paths = Graph(content), call_paths(case.supernet.module, case.supernet.example)
    for site, (_, consumers) in case.supernet.edits.items():
        for path in (paths[name][0] + ";" for name in consumers):
            (weights,) = [
                operator.inputs[1]
                for operator in graph.operators
                if operator.name in ("CONV_2D", "FULLY_CONNECTED") and path in graph.name(operator.inputs[1])
            ]
            value = graph.value(weights).copy()
            value[..., np.repeat(~masks[site], value.shape[-1] // len(masks[site]))] = 0
            graph.set_value(weights, value)
    return graph.pack(())


def test_int8_slices_are_bit_identical_to_the_whole_with_modules_closed(
    case: Built, quantised: dict[Precision, Template]
) -> None:
    rng, x = np.random.default_rng(5), samples(case)
    for _ in range(4):
        masks = case.supernet.masks(rng)
        closed = with_modules_closed(case, full(quantised[INT8]), masks)
        sliced = tflite_outputs(emitted(quantised[INT8], masks), x)
        np.testing.assert_array_equal(sliced, tflite_outputs(closed, x))
        assert (sliced != tflite_outputs(full(quantised[INT8]), x)).any()


def test_float16_slices_are_bit_identical_to_the_subnet_quantised(
    case: Built, quantised: dict[Precision, Template]
) -> None:
    rng, x = np.random.default_rng(6), samples(case)
    for _ in range(4):
        masks = case.supernet.masks(rng)
        itself = quantize(case.emit(masks), FLOAT16)
        np.testing.assert_array_equal(
            tflite_outputs(emitted(quantised[FLOAT16], masks), x), tflite_outputs(itself, x)
        )


def test_scales_and_zero_points_are_those_of_open_channels(case: Built, quantised: dict[Precision, Template]) -> None:
    masks = case.supernet.masks(np.random.default_rng(7))
    sliced, whole = Graph(emitted(quantised[INT8], masks)), Graph(full(quantised[INT8]))
    n_cut = 0
    for ours, theirs in zip(sliced.operators, whole.operators, strict=True):
        for tensor, mate in zip(ours.inputs, theirs.inputs, strict=True):
            axis = whole.channel_axis(mate)
            if axis is None:
                continue
            (scales, zeros), (all_scales, _) = sliced.channel_vectors(tensor), whole.channel_vectors(mate)
            assert len(scales) == len(zeros) == sliced.shape(tensor)[axis]
            assert set(scales) <= set(all_scales)
            n_cut += len(scales) < len(all_scales)
    assert n_cut >= 2 * len(case.supernet.sites) - 2, "weights and biases, at nearly every site"


def test_a_slice_is_as_large_as_the_subnet_quantised(case: Built, quantised: dict[Precision, Template]) -> None:
    """What is predicted of file sizes: never less, and at most the padding of each scale vector more."""
    masks = case.supernet.masks(np.random.default_rng(8))
    for precision, template in quantised.items():
        itself = quantize(case.emit(masks), precision, samples(case))
        assert 0 <= len(emitted(template, masks)) - len(itself) < 128 * len(Graph(itself).operators)


def test_precisions_have_templates_of_their_own(case: Built, quantised: dict[Precision, Template]) -> None:
    digests = {case.template.digest, *(template.digest for template in quantised.values())}
    assert len(digests) == 3
    again = quantize_template(case.template, case.supernet.module, INT8, samples(case))
    assert again.to_bytes() == quantised[INT8].to_bytes()


def test_a_wrong_slice_is_noticed(resnet_built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every channel gets its neighbour's scale: every shape fits, every number is a plausible one."""
    monkeypatch.setattr(Graph, "channel_vectors", _rotated)
    with pytest.raises(ConversionError, match="a slice of the int8 supernet .* profile this supernet in float32"):
        quantize_template(resnet_built.template, resnet_built.supernet.module, INT8, samples(resnet_built))


def _rotated(graph: Graph, tensor: int) -> Any:
    quantisation = graph.model.subgraphs[0].tensors[tensor].quantization
    return np.roll(quantisation.scale, 1), np.asarray(quantisation.zeroPoint)

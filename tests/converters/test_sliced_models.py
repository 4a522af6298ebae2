"""A sliced model is the model that converting the pruned network gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from edgewright.converters.build import build_template
from edgewright.converters.errors import ConversionError
from edgewright.converters.flatbuffer import Graph
from edgewright.converters.parity import check_parity, tflite_outputs
from edgewright.converters.probe_plan import check_constants
from edgewright.converters.torch_to_tflite import convert

Built = Any  # of conftest: a supernet, its template, and a converted subnet


@pytest.fixture(params=["resnet_built", "mixed_built"])
def case(request: pytest.FixtureRequest) -> Built:
    return request.getfixturevalue(request.param)


def samples(case: Built, n: int = 4) -> np.ndarray:
    shape = (n, *case.supernet.example.shape[1:])
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def test_outputs_are_bit_identical_to_the_converted_probe(case: Built) -> None:
    sliced = tflite_outputs(case.emit(case.probe_masks), samples(case))
    np.testing.assert_array_equal(sliced, tflite_outputs(case.probe_content, samples(case)))


@pytest.mark.parametrize("seed", [1, 2])
def test_outputs_are_bit_identical_to_a_converted_random_subnet(resnet_built: Built, seed: int) -> None:
    masks = resnet_built.supernet.masks(np.random.default_rng(seed))
    converted = convert(resnet_built.supernet.extract(masks), resnet_built.supernet.example)
    x = samples(resnet_built)
    np.testing.assert_array_equal(tflite_outputs(resnet_built.emit(masks), x), tflite_outputs(converted, x))


def test_random_subnets_agree_with_torch(case: Built) -> None:
    rng = np.random.default_rng(11)
    for _ in range(5):
        masks = case.supernet.masks(rng)
        x = torch.from_numpy(samples(case))
        check_parity(case.supernet.extract(masks), case.emit(masks), x, atol=1e-5, rtol=1e-5)


def test_one_module_per_site_runs(case: Built) -> None:
    masks = case.supernet.masks(np.random.default_rng(2), {site.name: 1 for site in case.supernet.sites})
    x = torch.from_numpy(samples(case))
    check_parity(case.supernet.extract(masks), case.emit(masks), x, atol=1e-5, rtol=1e-5)


def test_the_full_model_agrees_with_torch_and_takes_nchw(resnet_built: Built) -> None:
    x = torch.from_numpy(samples(resnet_built))  # (B, C, H, W)
    check_parity(resnet_built.supernet.module, resnet_built.full, x, atol=1e-5, rtol=1e-5)


def test_a_subnet_is_smaller_by_what_was_closed(resnet_built: Built) -> None:
    half = {site.name: site.width // 2 for site in resnet_built.supernet.sites}
    masks = resnet_built.supernet.masks(np.random.default_rng(0), half)
    saved = sum(p.numel() for p in resnet_built.supernet.module.parameters())
    saved -= sum(p.numel() for p in resnet_built.supernet.extract(masks).parameters())
    # Biases instead of four batch-norm vectors, and alignment, make up for the rest.
    assert len(resnet_built.full) - len(resnet_built.emit(masks)) == pytest.approx(4 * saved, rel=0.02)


def test_emitting_twice_gives_the_same_bytes(case: Built) -> None:
    masks = case.supernet.masks(np.random.default_rng(7))
    first = case.emit(masks)
    case.emit(case.supernet.masks(np.random.default_rng(8)))
    assert case.emit(masks) == first


def test_other_channels_of_the_same_number_are_noticed(resnet_built: Built) -> None:
    counts = {name: int(mask.sum()) for name, mask in resnet_built.probe_masks.items()}
    others = resnet_built.supernet.masks(np.random.default_rng(99), counts)
    probe = Graph(resnet_built.probe_content)
    check_constants(Graph(resnet_built.emit(resnet_built.probe_masks)), probe)
    with pytest.raises(ConversionError, match="sliced, differs from the converted pruned network"):
        check_constants(Graph(resnet_built.emit(others)), probe)


def test_a_template_needs_sites(resnet_built: Built) -> None:
    supernet = resnet_built.supernet
    for sites in ((), (supernet.sites[0], supernet.sites[0])):
        with pytest.raises(ConversionError, match="at least one site, and unique names"):
            build_template(supernet.module, supernet.example, sites, supernet.extract)

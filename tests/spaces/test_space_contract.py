"""What campaigns and predictors need of any search space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Layer, Site
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.spaces.base import Drawing
from edgewright.spaces.gates import SubnetSpace

from tests.spaces.chain import ChainSpace

SUBNETS = SubnetSpace(
    GateSpace((Site("a", 16), Site("b", 32, block=2), Site("c", 24))),
    (Layer("ab", "a", "b", 16, 64, 4000), Layer("bc", "b", "c", 64, 24, 3000)),
)


@pytest.fixture(params=[SUBNETS, ChainSpace()], ids=["gates", "chain"])
def space(request: pytest.FixtureRequest) -> Any:
    return request.param


def drawn(space: Any, n: int = 40, seed: int = 0) -> list[Any]:
    return list(space.draw(n, Drawing(), np.random.default_rng(seed)))


def test_an_encoding_is_all_of_an_architecture(space: Any) -> None:
    for each in (space.sentinel(), *drawn(space)):
        again = space.decode(each.encoding)
        assert again == each
        assert (again.digest, again.features) == (each.digest, each.features)
        assert EncodedArchitecture.of(again) == EncodedArchitecture.of(each)
        assert each.kind == space.kind and len(each.features) == len(space.feature_names)
    with pytest.raises(InputError):
        space.decode(b"\x01" * 99)


def test_what_is_drawn_differs_in_its_features(space: Any) -> None:
    found = drawn(space)
    assert len(found) == len({each.features for each in found}) == len({each.digest for each in found}) == 40
    assert space.sentinel().features not in {each.features for each in found}


def test_the_same_generator_draws_the_same(space: Any) -> None:
    np.random.seed(0)
    first = drawn(space, seed=3)
    np.random.seed(1)
    assert drawn(space, seed=3) == first
    assert drawn(space, seed=4) != first


def test_drawings_cover_the_space(space: Any) -> None:
    """The least and the most of each feature, and what lies between."""
    features = np.array([each.features for each in drawn(space)])  # (n, L)
    whole = np.array([each.features for each in drawn(space, 200, seed=9)])
    total, spread = features.sum(1), np.ptp(whole.sum(1))
    assert total.min() == whole.sum(1).min() and total.max() == whole.sum(1).max()
    assert np.diff(np.sort(total)).max() < 0.5 * spread


def test_every_map_takes_the_recorded_features(space: Any) -> None:
    features = [each.features for each in drawn(space)]
    for name in space.feature_sets:
        for each in space.feature_maps(name):
            mapped = each(features)
            assert mapped.shape == (40, len(each.names)) and np.isfinite(mapped).all()
            with pytest.raises(InputError, match="shape"):
                each([row[:-1] for row in features])
    with pytest.raises(InputError, match="features must be one of .*got 'cubes'"):
        space.feature_maps("cubes")


def test_campaigns_are_planned(space: Any) -> None:
    plan = make_plan(space, PlanOptions(30, seed=1, sentinel_every=10))
    assert {item.architecture.digest for item in plan if item.kind == "sentinel"} == {space.sentinel().digest}
    assert len({item.architecture.digest for item in plan if item.kind == "subnet"}) == 30
    assert sum(item.kind == "repeat" for item in plan) == 10
    with pytest.raises(InputError, match=f"too many for a space of {space.kind}"):
        make_plan(space, PlanOptions(space.n_different))

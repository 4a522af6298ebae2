"""What a subnet's cost is linear in: shares of sites, products of both ends of layers, widths in whole tiles."""

from __future__ import annotations

import pytest
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Layer, Site
from edgewright.spaces.gates import SubnetSpace

from tests.predictors.conftest import SPACE


@pytest.fixture
def space() -> SubnetSpace:
    return SPACE


def test_features_are_shares_and_products_of_joined_sites(space: SubnetSpace) -> None:
    (feature_map,) = space.feature_maps("products")
    assert feature_map.names == ("a", "b", "c", "d", "a x b", "b x c", "c x d")
    assert feature_map([[16, 8, 12, 64]]).tolist() == [[1, 0.25, 0.5, 1, 0.25, 0.125, 0.5]]
    assert space.feature_maps("paper")[0].names == ("a", "b", "c", "d")


def test_a_layer_within_one_site_costs_its_square() -> None:
    space = SubnetSpace(GateSpace((Site("stream", 8),)), (Layer("conv", "stream", "stream", 8, 8, 100),))
    (feature_map,) = space.feature_maps("products")
    assert feature_map([[4]]).tolist() == [[0.5, 0.25]]


def test_a_block_of_channels_fills_tiles_together() -> None:
    space = SubnetSpace(GateSpace((Site("grouped", 8, block=4),)))
    by_tile = {each.name: each for each in space.feature_maps("steps")}
    assert by_tile["steps of 16"]([[1], [4], [5]]).tolist() == [[0.125, 0.5], [0.5, 0.5], [0.625, 1.0]]


def test_counts_outside_the_space_are_named(space: SubnetSpace) -> None:
    for name in space.feature_sets:
        for each in space.feature_maps(name):
            with pytest.raises(InputError, match=r"shape \(n, 4\), one column per site"):
                each([[1, 1, 1]])
            with pytest.raises(InputError, match="subnet 1 has 33 open modules at site 'b'; .*within 1 and 32"):
                each([[1, 1, 1, 1], [1, 33, 1, 1]])


def test_maps_of_a_space_have_names_of_their_own(space: SubnetSpace) -> None:
    names = [each.name for features in space.feature_sets for each in space.feature_maps(features)]
    assert names == ["paper", "products", "steps of 4", "steps of 8", "steps of 16", "steps of 32"]

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Site
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.spaces.gates import SubnetSpace

GATES = GateSpace(tuple(Site(f"s{i}", width) for i, width in enumerate([16, 24, 32, 64, 64])))
WIDE = SubnetSpace(GATES)
DIGEST = """
from edgewright.gates import GateSpace, Site
from edgewright.profiling.plan import PlanOptions, make_plan
from edgewright.spaces.gates import SubnetSpace
space = SubnetSpace(GateSpace(tuple(Site(f"s{i}", width) for i, width in enumerate([16, 24, 32, 64, 64]))))
print(make_plan(space, PlanOptions(50, seed=4)).digest)
"""


def test_the_same_options_give_the_same_plan_in_another_process() -> None:
    np.random.seed(0)
    here = make_plan(WIDE, PlanOptions(50, seed=4)).digest
    np.random.seed(1)
    assert make_plan(WIDE, PlanOptions(50, seed=4)).digest == here
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert there == here
    assert make_plan(WIDE, PlanOptions(50, seed=5)).digest != here


def test_subnets_differ_and_hold_both_extremes() -> None:
    subnets = [item.architecture for item in make_plan(WIDE, PlanOptions(200)) if item.kind == "subnet"]
    counts = [gates.counts for gates in subnets]
    assert len(subnets) == len(set(counts)) == 200
    assert GATES.full() in subnets and GATES.smallest().counts in counts


def test_subnets_spread_over_ratios_and_sites() -> None:
    gates = [item.architecture for item in make_plan(WIDE, PlanOptions(200)) if item.kind == "subnet"]
    ratios = np.array([item.ratio for item in gates])
    share_per_fifth = np.histogram(ratios, bins=5, range=(0, 1))[0] / len(ratios)
    assert share_per_fifth.min() > 0.1
    shares = np.array([item.counts for item in gates]) / [site.width for site in GATES.sites]
    assert np.abs(shares - ratios[:, None]).mean() > 0.08  # sites stray from the subnet's ratio
    design = np.c_[np.ones(len(shares)), shares]
    assert np.linalg.cond(design) < 60  # so that a regression can tell the sites apart


@pytest.mark.parametrize("seed", range(3))
def test_each_site_is_at_both_ends_whatever_the_others_are(seed: int) -> None:
    """One site at a time: what it costs alone is seen, not only in company."""
    gates = [item.architecture for item in make_plan(WIDE, PlanOptions(200, seed=seed)) if item.kind == "subnet"]
    for index, site in enumerate(GATES.sites):
        for width in (1, site.width):
            alone = [g for g in gates if g.counts[index] == width and 0.1 < g.ratio < 0.9]
            assert alone, f"{site.name} is never {width} wide in a middling subnet"


def test_a_short_campaign_is_not_all_extremes() -> None:
    plan = make_plan(WIDE, PlanOptions(12, repeat_share=0, spread=0.1))
    middling = [g for g in (item.architecture for item in plan if item.kind == "subnet") if min(g.counts) > 1]
    assert len(middling) >= 6


def test_a_plan_of_before_there_were_extremes_can_be_drawn_again() -> None:
    old = PlanOptions(50, seed=4, spread=1.0, extremes=False)
    stored = {name: value for name, value in old.to_json().items() if name != "extremes"}
    assert PlanOptions.from_json(stored) == old
    assert make_plan(WIDE, old).digest == "dcf60b02b0e9ae40"


@pytest.mark.parametrize(
    ("options", "digest"),
    [
        (PlanOptions(50, seed=4), "15d977250c91cfd5"),
        (PlanOptions(200), "dc8737c423050fec"),
        (PlanOptions(40, seed=1, sentinel_every=5, repeat_share=1.0, spread=0.5), "e49b8ac356fae661"),
        (PlanOptions(60, seed=2, fleet=("x", "y"), share=1), "43a2343a37a11609"),
    ],
)
def test_plans_of_subnets_stay_as_they_were(options: PlanOptions, digest: str) -> None:
    """Digests of version 0.1: campaigns that users have begun go on, and a seed means the same subnets."""
    assert make_plan(WIDE, options).digest == digest


def test_modules_are_open_at_random_not_the_first_ones() -> None:
    half = [item.architecture for item in make_plan(WIDE, PlanOptions(200)) if 0.3 < item.architecture.ratio < 0.7]
    subnets = [gates for gates in half if gates != GATES.from_counts(gates.counts)]
    assert len(subnets) > 0.8 * len(half)


def test_positions_sentinels_and_repeats() -> None:
    options = PlanOptions(150, sentinel_every=10)
    plan = make_plan(WIDE, options)
    assert [item.position for item in plan] == list(range(len(plan)))
    kinds = [item.kind for item in plan]
    assert Counter(kinds)["repeat"] == 15 == options.n_repeats
    sentinels = [item.position for item in plan if item.kind == "sentinel"]
    assert sentinels[0] == 0 and sentinels[-1] == len(plan) - 1
    assert max(np.diff(sentinels)) == 11
    assert len({item.architecture for item in plan if item.kind == "sentinel"}) == 1
    first = {item.architecture: item.position for item in plan if item.kind == "subnet"}
    assert all(first[item.architecture] < item.position for item in plan if item.kind == "repeat")


def test_small_campaigns_repeat_at_least_ten() -> None:
    assert PlanOptions(40).n_repeats == 10
    assert PlanOptions(4).n_repeats == 4
    assert PlanOptions(40, repeat_share=0).n_repeats == 0


def test_the_order_is_random() -> None:
    ratios = [item.architecture.ratio for item in make_plan(WIDE, PlanOptions(200)) if item.kind == "subnet"]
    assert abs(np.corrcoef(ratios, np.arange(len(ratios)))[0, 1]) < 0.25


def test_a_tiny_space_is_used_up_to_half_and_then_refused() -> None:
    tiny = SubnetSpace(GateSpace((Site("a", 4), Site("b", 5))))
    subnets = [item.architecture.counts for item in make_plan(tiny, PlanOptions(10)) if item.kind == "subnet"]
    assert len(set(subnets)) == 10
    with pytest.raises(InputError, match="11 subnets are too many .* 20 different ones; ask for at most 10"):
        make_plan(tiny, PlanOptions(11))


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_subnets": 1},
        {"n_subnets": 9, "seed": -1},
        {"n_subnets": 9, "sentinel_every": 0},
        {"n_subnets": 9, "repeat_share": 1.5},
        {"n_subnets": 9, "spread": float("nan")},
    ],
)
def test_options_check_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PlanOptions(**wrong)


def test_options_survive_json() -> None:
    options = PlanOptions(77, seed=3, sentinel_every=9, repeat_share=0.2, spread=0.5)
    assert PlanOptions.from_json(options.to_json()) == options

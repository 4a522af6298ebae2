"""torch-pruning's DependencyGraph, an independent analysis, must slice the same elements together."""

from __future__ import annotations

from typing import Any

import pytest

from tests.supernet.oracle import Oracle, planned_with_first_unit


@pytest.mark.parametrize("policy", ["single", "coupled"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3"])
def test_the_same_elements_are_sliced_together(make_case: Any, name: str, policy: str) -> None:
    case = make_case(name, policy)
    oracle = Oracle(case.supernet.backbone, case.x)
    for site in case.supernet.plan.sites:
        planned = planned_with_first_unit(case.supernet.backbone, site)
        assert planned == oracle.sliced_with_first_unit(site), site.name

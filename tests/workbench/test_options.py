"""The options of a campaign are checked before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import InputError
from edgewright.workbench.options import BenchmarkModel, CampaignOptions


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sentinel_every": 0}, "`sentinel_every` must be at least 1 record; got 0"),
        ({"patience_s": float("nan")}, "`patience_s` must be a number of seconds, 0 or more; got nan"),
        ({"patience_s": -1.0}, "`patience_s` must be"),
    ],
)
def test_numbers_that_cannot_be(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        CampaignOptions(**options)


def test_what_only_a_plan_or_a_protocol_knows_is_their_sentence() -> None:
    with pytest.raises(InputError, match="at least 2 subnets"):
        CampaignOptions(1).plan()
    with pytest.raises(InputError, match="threads"):
        CampaignOptions(threads=0).protocol()


def test_the_plan_of_one_device_of_several() -> None:
    plan = CampaignOptions(40, seed=7).plan(("board", "board-2"), 1)
    assert (plan.n_subnets, plan.seed, plan.fleet, plan.share) == (40, 7, ("board", "board-2"), 1)
    assert plan.sentinel_every == 20 and CampaignOptions(sentinel_every=6).plan().sentinel_every == 6


def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no benchmark_model at"):
        BenchmarkModel(tmp_path / "none")
    (tmp_path / "tool").touch()
    with pytest.raises(InputError, match="a delegate is one of cpu, xnnpack, gpu, nnapi; got 'tpu'"):
        BenchmarkModel(tmp_path / "tool", "tpu")

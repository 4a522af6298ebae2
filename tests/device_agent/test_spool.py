"""Finished records on the device: kept whole, listed in order, dropped when asked, and never outside their folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from edgewright.device_agent.spool import Spool, SpoolError, check_job_id

KEY = "0123456789abcdef" * 2


def test_what_is_kept_is_there_for_the_next_agent(tmp_path: Path) -> None:
    Spool(tmp_path).keep(KEY, (7, 1), {"samples_ms": [1.5]})
    Spool(tmp_path).keep(KEY, (3, 2), {"samples_ms": [2.5]})
    spool = Spool(tmp_path)
    assert spool.jobs(KEY) == [(3, 2), (7, 1)]
    assert spool.read(KEY, (7, 1)) == {"samples_ms": [1.5]}
    assert spool.jobs("f" * 32) == []


def test_dropping_leaves_nothing_and_may_be_repeated(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(KEY, (1, 1), {})
    spool.keep(KEY, (2, 1), {})
    spool.drop(KEY, [(1, 1), (9, 9)])
    assert spool.jobs(KEY) == [(2, 1)]
    spool.drop(KEY, [(2, 1)])
    spool.drop(KEY, [(2, 1)])
    assert list((tmp_path / "spool").iterdir()) == []


def test_half_a_record_is_none(tmp_path: Path) -> None:
    """A power cut may leave a file that holds less than was written."""
    spool = Spool(tmp_path)
    spool.keep(KEY, (1, 1), {"samples_ms": [1.0]})
    path = tmp_path / "spool" / KEY / "1-1.json"
    path.write_text(path.read_text()[:-3])
    assert spool.read(KEY, (1, 1)) is None


@pytest.mark.parametrize("key", ["", "../../etc", "0" * 31, "0" * 33, "G" * 32, KEY + "\n", "a/b" * 10 + "cc"])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(SpoolError, match="32 hexadecimal digits"):
        Spool(tmp_path).keep(key, (1, 1), {})
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize(
    "job_id", [None, "1-1", [1], [1, 0], [-1, 1], [True, 1], [1.0, 1], [10**9, 1], [1, 10**4], [1, 2, 3]]
)
def test_a_job_id_is_two_small_integers(job_id: object) -> None:
    with pytest.raises(SpoolError, match="job"):
        check_job_id(job_id)


def test_a_campaign_nobody_came_back_for_is_given_up(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.keep(KEY, (1, 1), {})
    spool.keep("f" * 32, (1, 1), {})
    old = time.time() - 61 * 24 * 3600
    os.utime(tmp_path / "spool" / KEY, (old, old))
    again = Spool(tmp_path)
    assert again.jobs(KEY) == [] and again.jobs("f" * 32) == [(1, 1)]

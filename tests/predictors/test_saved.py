"""Fitted once: a saved predictor is loaded until what it learnt from changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.gates import Layer
from edgewright.predictors import saved
from edgewright.predictors.fitting import fit_predictors
from edgewright.predictors.saved import learnt_from, load_or_fit
from edgewright.profiling.records import Record
from edgewright.profiling.verifications import VerificationRecord
from edgewright.spaces.gates import SubnetSpace


@pytest.fixture
def records(invented: Any) -> list[Record]:
    found: list[Record] = invented.records(60, noise=0.02)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictors" / "board.json"


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every fit."""
    counted: list[int] = []

    def counting(*args: Any, **options: Any) -> Any:
        counted.append(1)
        return fit_predictors(*args, **options)

    monkeypatch.setattr(saved, "fit_predictors", counting)
    return counted


def verified(record: Record, ms: float = 1.0) -> VerificationRecord:
    return VerificationRecord(
        device=record.device, source="t", facts_digest="f", started_at="2024-02-01", architecture=record.architecture,
        samples_ms=((ms,),), protocol=record.protocol, budget={"latency_ms": 1.0}, task="", fits=True,
    )  # fmt: skip


def test_the_second_time_it_is_loaded(path: Path, records: list[Record], space: SubnetSpace, fits: list[int]) -> None:
    taught = [verified(records[1])]
    first, again = (load_or_fit(path, records, space, taught) for _ in range(2))
    assert len(fits) == 1
    assert again.to_json() == first.to_json() == fit_predictors(records, space, verifications=taught).to_json()
    features = np.array([record.features for record in records])
    assert np.array_equal(again.latency.upper(features), first.latency.upper(features))


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records[:-1],
        lambda records: [replace(records[0], started_at="2024-03-01"), *records[1:]],
        lambda records: [records[0].scaled(2.0), *records[1:]],
        lambda records: [replace(records[0], protocol=replace(records[0].protocol, threads=2)), *records[1:]],
        lambda records: [replace(records[0], device="another"), *records[1:]],
        lambda records: [replace(r, measurement=replace(r.measurement, memory_mib=None)) for r in records],
    ],
    ids=["fewer", "measured again", "another latency", "another protocol", "another device", "without memory"],
)
def test_other_measurements_are_fitted_anew(
    path: Path, records: list[Record], space: SubnetSpace, fits: list[int],
    change: Callable[[list[Record]], list[Record]],
) -> None:  # fmt: skip
    load_or_fit(path, records, space)
    changed = load_or_fit(path, change(records), space)
    assert len(fits) == 2
    assert changed.to_json() == load_or_fit(path, change(records), space).to_json() and len(fits) == 2


def test_a_verification_is_learnt_from(path: Path, records: list[Record], space: SubnetSpace, fits: list[int]) -> None:
    for verifications in ([], [verified(records[1])], [verified(records[1], 2.0)], [verified(records[1])] * 2):
        found = load_or_fit(path, records, space, verifications)
        assert found.latency.n_records_ == len([r for r in records if r.kind != "sentinel"]) + len(verifications)
    assert len(fits) == 4


def test_another_space_or_way_to_fit_is_another_predictor(
    records: list[Record], space: SubnetSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = learnt_from(records, space)
    assert learnt_from(records, SubnetSpace(space.gates, (Layer("ab", "a", "b", 16, 32, 1),))) != known
    assert learnt_from(records, space, predictor="another") != known
    monkeypatch.setattr(saved, "FITTING", saved.FITTING + 1)
    assert learnt_from(records, space) != known


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"{"),
        lambda path: path.write_bytes(b"[]"),
        lambda path: path.write_text(path.read_text().replace('"coef": [', '"coef": [-1.0, ')),
        lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "predictor": "not installed"})),
        lambda path: path.unlink(),
    ],
    ids=["no JSON", "a list", "damaged", "another predictor", "gone"],
)
def test_a_file_that_cannot_be_used_is_written_anew(
    path: Path, records: list[Record], space: SubnetSpace, fits: list[int], damage: Callable[[Path], Any]
) -> None:
    whole = load_or_fit(path, records, space).to_json()
    damage(path)
    assert load_or_fit(path, records, space).to_json() == whole and len(fits) == 2
    assert load_or_fit(path, records, space).to_json() == whole and len(fits) == 2


def test_an_unknown_predictor_is_refused(path: Path, records: list[Record], space: SubnetSpace) -> None:
    with pytest.raises(InputError, match="unknown predictor 'linaer'; did you mean 'linear'"):
        load_or_fit(path, records, space, predictor="linaer")
    assert not path.exists()

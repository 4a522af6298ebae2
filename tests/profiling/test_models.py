"""Models that are built one by one, of a space that is not of gates: measured, predicted and verified alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.connect import open_session
from edgewright.devices.registry import LOCAL
from edgewright.devices.session.jobs import CampaignJob, CampaignReply, MeasureJob
from edgewright.errors import DeviceError, InputError
from edgewright.files import sha256_of
from edgewright.predictors.cost_model import cost_model
from edgewright.predictors.fitting import fit_predictors
from edgewright.profiling.campaign import begin_campaign, run_campaign
from edgewright.profiling.models import NOT_BUILT, BuiltModels
from edgewright.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.profiling.records import Record
from edgewright.profiling.store.store import Store
from edgewright.profiling.verifications import VerificationRecord

from tests.spaces.chain import Chain, ChainSpace, tflite_of

SPACE = ChainSpace()
OPTIONS = PlanOptions(n_subnets=12, seed=2, sentinel_every=6, repeat_share=0.2)
REAL = PlanOptions(n_subnets=10, seed=2, sentinel_every=6, repeat_share=0.01)  # a conversion takes seconds
SOURCE = sha256_of(b"chains without weights")
PROTOCOL = TimingProtocol(n_warmup_min=2, n_runs=20, min_time_ms=5.0, timeout_s=30.0)


def begin(store: Store, device: str = "board", options: PlanOptions = OPTIONS) -> Campaign:
    return begin_campaign(store, device=device, space=SPACE, source=SOURCE, protocol=PROTOCOL, options=options)


class Board:
    """A simulated device that measures whole models; `lost_at` names the measurement at which it is lost."""

    def __init__(self, lost_at: int | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.measured: list[bytes] = []
        self.lost_at = lost_at

    def facts(self) -> dict[str, Any]:
        return {"machine": "simulated"}

    def put_blob(self, data: bytes) -> str:
        self.blobs[sha256_of(data)] = data
        return sha256_of(data)

    def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
        if len(self.measured) == self.lost_at:
            self.lost_at = None
            raise DeviceError("the device fell silent")
        content = self.blobs[str(job.model_sha)]
        self.measured.append(content)
        ms = 1.0 + 1e-3 * sum(SPACE.decode(content).features)
        return {"samples_ms": [ms, ms], "memory_mib": 1.0, "child_ms": 2 * ms, "steady": True, "emit_ms": 0.0}

    def measure_each(
        self, key: str, template_sha: str, jobs: Sequence[CampaignJob], protocol: TimingProtocol, stored: Any
    ) -> Iterator[CampaignReply]:
        raise AssertionError("there is no template")

    def spooled(self, key: str) -> Iterator[CampaignReply]:
        return iter(())

    def drop_spooled(self, key: str, attempts: Sequence[tuple[int, int]]) -> None: ...

    def reopen(self) -> None: ...


def built(built_for: list[str], fails: Callable[[Chain], bool] = lambda chain: False) -> BuiltModels[Chain]:
    def build(chain: Chain) -> bytes:
        built_for.append(chain.digest)
        if fails(chain):
            raise InputError("no such kernel here")
        return chain.encoding  # the board needs no more

    return BuiltModels(SOURCE, build)


def test_models_are_built_pushed_and_measured_in_the_plans_order(store_path: Path) -> None:
    built_for: list[str] = []
    board, plan = Board(), make_plan(SPACE, OPTIONS)
    with Store.open(store_path) as store:
        campaign = begin(store)
        summary = run_campaign(board, store, campaign, SPACE, built(built_for))
        records = store.records(campaign)
    assert board.measured == [item.architecture.encoding for item in plan]
    assert [record.architecture for record in records] == [EncodedArchitecture.of(i.architecture) for i in plan]
    assert summary.n_measured == len(plan) and summary.n_failed == 0 and summary.overhead_ms is not None
    assert {SPACE.decode(record.architecture.encoding) for record in records} == {i.architecture for i in plan}
    assert Counter(built_for) == Counter({item.architecture.digest for item in plan}), "each one is built once"


def test_a_lost_device_loses_one_measurement_at_most(store_path: Path) -> None:
    built_for: list[str] = []
    plan = make_plan(SPACE, OPTIONS)
    with Store.open(store_path) as store:
        campaign = begin(store)
        with pytest.raises(DeviceError, match="fell silent; 5 of 27 records are stored; start again with `resume`"):
            run_campaign(Board(lost_at=5), store, campaign, SPACE, built(built_for))
        board = Board()
        assert run_campaign(board, store, campaign, SPACE, built(built_for)).n_measured == len(plan) - 5
        assert board.measured == [item.architecture.encoding for item in plan][5:]
        assert run_campaign(Board(lost_at=0), store, campaign, SPACE, built(built_for)).n_measured == 0


def test_what_cannot_be_built_is_a_record_with_an_error(store_path: Path) -> None:
    plan = make_plan(SPACE, OPTIONS)
    hopeless = next(item.architecture for item in plan if item.kind == "subnet")
    with Store.open(store_path) as store:
        campaign = begin(store)
        summary = run_campaign(Board(), store, campaign, SPACE, built([], lambda chain: chain == hopeless))
        failed = [record for record in store.records(campaign) if record.error is not None]
    assert summary.n_failed == len(failed) >= 1
    assert {record.architecture.digest for record in failed} == {hopeless.digest}
    assert {record.error.kind for record in failed if record.error} == {NOT_BUILT}
    assert all("no such kernel here" in str(record.error) for record in failed)


def test_a_disturbed_measurement_is_made_again_with_the_same_model(store_path: Path) -> None:
    built_for: list[str] = []
    plan = make_plan(SPACE, OPTIONS)
    repeated = {item.architecture for item in plan if item.kind == "repeat"}
    disturbed = next(i for i in plan if i.kind == "subnet" and i.architecture not in repeated)

    class Busy(Board):
        def measure(self, job: MeasureJob, protocol: TimingProtocol) -> dict[str, Any]:
            reply = super().measure(job, protocol)
            first = self.measured.count(self.measured[-1]) == 1
            if self.measured[-1] == disturbed.architecture.encoding and first:
                return {**reply, "samples_ms": [50.0, 90.0], "steady": False, "marks": ["stolen"]}
            return reply

    with Store.open(store_path) as store:
        campaign = begin(store)
        summary = run_campaign(Busy(), store, campaign, SPACE, built(built_for), cooldown_s=0.0)
        again = store.records(campaign)[disturbed.position]
    assert summary.n_unsteady == 0 and again.attempts == 2 and (again.latency_ms or 99) < 50
    assert built_for.count(disturbed.architecture.digest) == 1


def test_models_of_another_source_are_another_campaign(store_path: Path) -> None:
    with Store.open(store_path) as store, pytest.raises(InputError, match="measured models made from .*start a new"):
        run_campaign(Board(), store, begin(store), SPACE, BuiltModels("other weights", tflite_of))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """A campaign on this machine: real models, a real agent."""
    workspace: Path = tmp_path_factory.mktemp("chains")
    with Store.open(workspace / "store.sqlite") as store, open_session(LOCAL, workspace) as session:
        campaign = begin(store, LOCAL.name, REAL)
        run_campaign(session, store, campaign, SPACE, BuiltModels(SOURCE, tflite_of), rounds_again=0)
        return workspace, store.records(campaign)


def test_real_models_of_another_kind_are_measured(measured: tuple[Path, list[Record]]) -> None:
    _, records = measured
    assert [record.error for record in records] == [None] * len(make_plan(SPACE, REAL))
    assert {record.architecture.kind for record in records} == {"chain"}
    sizes = {record.architecture.digest: record.measurement.size_bytes for record in records}
    assert len(set(sizes.values())) > 6, "each architecture is its own file"
    assert all((record.measurement.emit_ms or 0) > 0 for record in records)


def test_their_costs_are_predicted(measured: tuple[Path, list[Record]]) -> None:
    _, records = measured
    predict = cost_model(fit_predictors(records, SPACE))
    small, *_, large = predict(SPACE.draw(3, OPTIONS.drawing, np.random.default_rng(0)))
    assert small.predicted.latency_ms is not None and large.predicted.latency_ms is not None
    assert 0 < small.predicted.latency_ms < large.predicted.latency_ms
    assert large.upper.latency_ms is not None and large.upper.latency_ms >= large.predicted.latency_ms


def test_their_verifications_are_kept_and_teach(measured: tuple[Path, list[Record]]) -> None:
    workspace, records = measured
    chain = SPACE.decode(records[1].architecture.encoding)
    with Store.open(workspace / "store.sqlite") as store:
        store.add_verification(
            VerificationRecord(
                device=LOCAL.name, source=SOURCE, facts_digest=records[0].facts_digest,
                started_at=datetime.now(timezone.utc).isoformat(), architecture=EncodedArchitecture.of(chain),
                samples_ms=((1.0, 1.1),), protocol=PROTOCOL, budget={"latency_ms": 2.0}, task="", fits=True,
            )
        )  # fmt: skip
        (kept,) = store.verifications(LOCAL.name, SOURCE)
    assert SPACE.decode(kept.architecture.encoding) == chain and kept.features == chain.features
    before, after = (fit_predictors(records, SPACE, verifications=each).latency for each in ((), (kept,)))
    assert after.n_records_ == before.n_records_ + 1

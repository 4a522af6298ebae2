"""Several devices at once, as a user has them: two sshd, each with a home and an agent of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgewright.predictors.drift.correction import drift_of, undisturbed
from edgewright.profiling.campaign import begin_campaign
from edgewright.profiling.columns import RecordColumns
from edgewright.profiling.plan import Campaign
from edgewright.profiling.records import Record
from edgewright.profiling.store.store import Store

from tests.cli.command_line import Cli
from tests.devices.campaign_bench import wait_for
from tests.rigs.board import BoardRig
from tests.rigs.client import ClientHome
from tests.rigs.fixtures import running
from tests.rigs.sshd import SshdRig

SPREAD = ("profile", "a", "b", "--spread", "--subnets", "60")


@pytest.fixture(scope="module")
def second_rig(rig_client: ClientHome) -> Iterator[SshdRig]:
    with running(lambda: SshdRig(rig_client)) as rig:
        yield rig


@pytest.fixture
def cli(
    ssh_rig: SshdRig, second_rig: SshdRig, rig_env: dict[str, str], tmp_path: Path, workspace: Path, template: Any
) -> Iterator[Cli]:
    """A workspace with the devices `a` and `b`, both with an agent, and nothing measured yet."""
    (tmp_path / "templates").symlink_to(workspace / "templates")
    command = Cli(tmp_path)
    for name, rig in (("a", ssh_rig), ("b", second_rig)):
        command("device", "add", name, rig.uri)
        command("agent", "deploy", name)
    yield command
    for name in ("a", "b"):
        command("agent", "remove", name)


def campaigns(cli: Cli, device: str) -> list[Campaign]:
    with Store.open(cli.workspace / "measurements.sqlite") as store:
        return store.campaigns(device)


def records_of(cli: Cli, device: str) -> list[Record]:
    """The records of a device's newest campaign, which is whole: every position once, nothing failed."""
    with Store.open(cli.workspace / "measurements.sqlite") as store:
        campaign = store.campaigns(device)[0]
        records = store.records(campaign)
    assert [record.position for record in records] == list(range(campaign.n_planned))
    assert all(record.error is None and record.device == device for record in records)
    return records


def subnets(records: list[Record]) -> list[str]:
    return [record.architecture.digest for record in records if record.kind == "subnet"]


def check_spread(cli: Cli, n_subnets: int) -> None:
    """Every subnet on exactly one of the two devices, its repeat on the same one, and a sentinel on each."""
    of_a, of_b = records_of(cli, "a"), records_of(cli, "b")
    drawn = subnets(of_a) + subnets(of_b)
    assert len(drawn) == len(set(drawn)) == n_subnets
    for records in (of_a, of_b):
        assert records[0].kind == records[-1].kind == "sentinel"
        repeated = {record.architecture.digest for record in records if record.kind == "repeat"}
        assert repeated <= set(subnets(records))


def check_kept(before: list[Record], after: list[Record]) -> None:
    """Nothing was measured anew, but what the machine had disturbed; of that the steadier measurement is kept."""
    for old, new in zip(before, after, strict=True):
        if old.measurement.steady is False:
            assert new.architecture == old.architecture
            assert new.measurement.unsteadiness <= old.measurement.unsteadiness
        else:
            assert new == old


class Striker:
    """Does something to a running campaign, once, when a device has so many records stored."""

    def __init__(self, cli: Cli, device: str, at: int, fault: Callable[[], object]) -> None:
        self._cli, self._device, self._at, self._fault = cli, device, at, fault
        self.n_stored = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Striker:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(timeout=300)
        assert self.n_stored >= self._at, "the campaign never came that far"

    def _run(self) -> None:
        with Store.open(self._cli.workspace / "measurements.sqlite") as store:

            def has_come_so_far() -> bool:
                found = store.campaigns(self._device)
                self.n_stored = len(store.positions(found[0])) if found else 0
                return self.n_stored >= self._at

            wait_for(has_come_so_far, f"{self._at} records of {self._device!r}", timeout_s=120)
        self._fault()


@pytest.mark.sweep
def test_each_device_gets_a_campaign_of_its_own(cli: Cli) -> None:
    told = cli("profile", "a", "b", "--subnets", "12")["devices"]
    assert "profiling a" in cli.stderr and "profiling b" in cli.stderr
    assert [device["device"] for device in told] == ["a", "b"]
    for device in told:
        records = records_of(cli, device["device"])
        assert device["profile"]["n_measured"] == device["profile"]["total"] == len(records)
        assert device["profile"]["n_failed"] == 0 and len(set(subnets(records))) == 12
        assert f"{device['device']}: {len(records)} measurements in" in cli.stderr
    assert subnets(records_of(cli, "a")) == subnets(records_of(cli, "b")), "the same subnets can be compared"


def test_one_campaign_is_spread_over_both_devices(cli: Cli, trained: Any) -> None:
    told = cli(*SPREAD)["devices"]
    check_spread(cli, 60)
    of_a, of_b = records_of(cli, "a"), records_of(cli, "b")
    assert [device["profile"]["total"] for device in told] == [len(of_a), len(of_b)]
    assert all(len(set(subnets(records))) == 30 for records in (of_a, of_b))
    n_repeats = sum(record.kind == "repeat" for record in of_a + of_b)
    assert n_repeats >= 10
    columns = RecordColumns.of(of_a + of_b)
    taught = undisturbed(columns, drift_of(columns, trained.supernet.subnets))
    calm = taught.take(taught.usable)
    times_measured = Counter(calm.digests[calm.architecture].tolist())
    for name in ("a", "b"):
        report = cli("predictor", "report", name)
        assert report["n_subnets"] == len(np.unique(calm.recorded, axis=0)) and report["n_failed"] == 0
        assert report["noise_floor"]["n_repeated"] == sum(times == 2 for times in times_measured.values())
        if not report["disturbances"]:
            assert (report["n_subnets"], report["noise_floor"]["n_repeated"]) == (60, n_repeats)


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_device_that_dies_stops_no_other_and_goes_on_when_it_is_back(cli: Cli, second_rig: SshdRig) -> None:
    with Striker(cli, "b", at=8, fault=second_rig.stop):
        error = cli(*SPREAD, "--patience-s", "1", code=4)["error"]
    assert error.startswith("b: ") and error.endswith("; done: a")
    assert "start again with --resume to go on" in error
    before = records_of(cli, "a")

    second_rig.restart()
    told = cli(*SPREAD, "--resume")["devices"]
    check_spread(cli, 60)
    assert told[0]["profile"]["n_measured"] == 0, "what is whole stays as it is"
    check_kept(before, records_of(cli, "a"))
    assert 0 < told[1]["profile"]["n_measured"] < told[1]["profile"]["total"]
    assert len(campaigns(cli, "a")) == len(campaigns(cli, "b")) == 1


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_without_spreading_too_a_device_that_dies_stops_no_other(cli: Cli, second_rig: SshdRig) -> None:
    with Striker(cli, "b", at=8, fault=second_rig.stop):
        error = cli("profile", "a", "b", "--subnets", "60", "--patience-s", "1", code=4)["error"]
    assert error.startswith("b: ") and error.endswith("; done: a")
    second_rig.restart()
    cli("profile", "a", "b", "--subnets", "60", "--resume")
    assert len(set(subnets(records_of(cli, "a")))) == len(set(subnets(records_of(cli, "b")))) == 60
    assert len(campaigns(cli, "a")) == len(campaigns(cli, "b")) == 1


@pytest.mark.sweep
def test_resuming_begins_the_campaign_that_one_device_never_began(cli: Cli) -> None:
    """`b` was added later, or failed before its first measurement: it gets the campaign that `a` has."""
    cli("profile", "a", "--subnets", "12", "--seed", "7")
    told = cli("profile", "a", "b", "--resume")["devices"]
    assert told[0]["profile"]["n_measured"] == 0 and told[0]["profile"]["seed"] == told[1]["profile"]["seed"] == 7
    assert told[1]["profile"]["n_measured"] == told[1]["profile"]["total"] == told[0]["profile"]["total"]
    assert subnets(records_of(cli, "a")) == subnets(records_of(cli, "b"))
    assert campaigns(cli, "a")[0].protocol == campaigns(cli, "b")[0].protocol


@pytest.mark.sweep
def test_with_nothing_begun_there_is_nothing_to_resume(cli: Cli) -> None:
    for words in (("profile", "a", "b", "--resume"), (*SPREAD, "--resume")):
        told = cli(*words, code=2)
        assert told["error"] == "there is no campaign of 'a', 'b' to resume; start without --resume"
    assert campaigns(cli, "a") == campaigns(cli, "b") == []


@pytest.mark.sweep
def test_a_spread_campaign_and_one_of_each_device_are_not_mixed_up(cli: Cli) -> None:
    """--resume goes on with what was begun the same way: spread or not."""
    cli("profile", "a", "b", "--subnets", "12")
    assert "no campaign of 'a', 'b' to resume" in cli(*SPREAD, "--resume", code=2)["error"]


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_devices_that_differ_share_no_campaign(cli: Cli, board_rig: BoardRig) -> None:
    """Nothing is begun, and the sentence names the first difference and what to do instead."""
    cli("device", "add", "board", board_rig.uri)
    cli("agent", "deploy", "board")
    told = cli("profile", "a", "board", "--spread", "--subnets", "12", code=2)["error"]
    cli("agent", "remove", "board")
    assert told.startswith("'a' and 'board' are not identical: model is ") and "Jetson" in told
    assert told.endswith("; profile them without --spread, each with a campaign of its own")
    assert campaigns(cli, "a") == campaigns(cli, "board") == []


@pytest.mark.sweep
def test_resuming_never_takes_a_share_of_an_older_whole_for_one_of_the_newest(
    tmp_path: Path, workspace: Path, template: Any, trained: Any
) -> None:
    """The host was killed when only `local` had begun the second campaign: `desk` begins it now, too."""
    (tmp_path / "templates").symlink_to(workspace / "templates")
    cli = Cli(tmp_path)
    cli("device", "add", "desk", "local:")
    words = ("profile", "local", "desk", "--spread")
    cli(*words, "--subnets", "12")
    (first,) = campaigns(cli, "local")
    with Store.open(tmp_path / "measurements.sqlite") as store:
        begin_campaign(
            store, device="local", space=trained.supernet.subnets, source=first.source,
            protocol=first.protocol, options=replace(first.options, n_subnets=16),
        )  # fmt: skip
    cli(*words, "--resume")
    drawn = subnets(records_of(cli, "local")) + subnets(records_of(cli, "desk"))
    assert len(drawn) == len(set(drawn)) == 16
    assert len(campaigns(cli, "local")) == len(campaigns(cli, "desk")) == 2

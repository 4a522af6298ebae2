"""Campaigns over real links that break: whatever happens, a resumed campaign of 60 subnets holds 60 intact records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.host.devices import AgentSession, Device, Registry, SessionLimits, connect, open_session
from edgewright.host.devices.deployment import deploy
from edgewright.host.errors import DeviceError
from edgewright.host.profiling.campaign import Progress, begin_campaign, run_campaign
from edgewright.host.profiling.plan import Campaign, PlanOptions, make_plan
from edgewright.host.profiling.store import Store

from tests.rigs.fault_proxy import Direction, FaultProxy

N_SUBNETS = 60
PROTOCOL = TimingProtocol(n_warmup_min=1, warmup_max_ms=5.0, n_runs=5, min_time_ms=1.0, timeout_s=5.0)
IMPATIENT = SessionLimits(silence_s=3.0, heartbeat_s=0.5, reply_s=20.0)
Fault = Callable[[], None]


@dataclass
class Bench:
    """A board behind a proxy, and a store: what a fault test works with."""

    rig: Any
    proxy: FaultProxy
    device: Device
    workspace: Path
    trained: Any
    template: bytes

    def session(self, limits: SessionLimits = IMPATIENT) -> AgentSession:
        return open_session(self.device, self.workspace, limits)

    def begin(self, store: Store, sha: str) -> Campaign:
        space = self.trained.supernet.space
        options = PlanOptions(N_SUBNETS, sentinel_every=30)
        return begin_campaign(
            store, device=self.device.name, space=space, template_sha=sha, protocol=PROTOCOL, options=options
        )

    def run(self, store: Store, campaign: Campaign, fault: Fault | None = None, at: int = 20, **options: Any) -> Any:
        """Run the campaign; `fault` strikes once, when `at` records are stored."""
        struck = []

        def strike(progress: Progress) -> None:
            if fault is not None and not struck and progress.done >= at:
                struck.append(progress.done)
                fault()

        with self.session() as session:
            return run_campaign(
                session, store, campaign, self.trained.supernet.space, self.template, strike, **options
            )

    def agents(self) -> list[int]:
        """Agents of this bench that run on the board."""
        home = f"{self.agent_dir}/home"
        return [pid for pid in _pids() if home in _argv(pid) and _parent(pid) not in _agents_of(home)]

    def children(self) -> list[int]:
        """What the agents measure in."""
        agents = self.agents()
        return [pid for pid in _pids() if _parent(pid) in agents]

    agent_dir: str = ""


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _argv(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _agents_of(home: str) -> set[int]:
    return {pid for pid in _pids() if home in _argv(pid)}


@pytest.fixture
def bench(
    ssh_rig: Any, rig_client: Any, rig_env: dict[str, str], tmp_path: Path, trained: Any, template: Any
) -> Iterator[Bench]:
    port = int(ssh_rig.uri.rpartition(":")[2])
    user = ssh_rig.uri.partition("//")[2].partition("@")[0]
    with FaultProxy("127.0.0.1", port) as proxy:
        key = next(
            line.split(None, 1)[1] for line in rig_client.known_hosts.read_text().splitlines() if f":{port} " in line
        )
        rig_client.add_known_host(f"[127.0.0.1]:{proxy.port} {key}")
        device = Registry(tmp_path).add("board", f"ssh://{user}@127.0.0.1:{proxy.port}")
        bench = Bench(ssh_rig, proxy, device, tmp_path, trained, template.to_bytes())
        transport = connect(device, tmp_path)
        deploy(transport, "board", tmp_path / "bundles")
        bench.agent_dir = transport.agent_dir
        transport.close()
        yield bench


def check_whole(store: Store, campaign: Campaign, bench: Bench) -> None:
    """Every position once, the gates of the plan, samples that are numbers: nothing lost, doubled or mangled."""
    plan = make_plan(bench.trained.supernet.space, campaign.options)
    records = store.records(campaign)
    assert [record.position for record in records] == list(range(len(plan)))
    assert [record.gates_digest for record in records] == [item.gates.digest for item in plan]
    assert all(record.error is None and len(record.measurement.samples_ms or ()) >= 5 for record in records)
    subnets = {record.gates_digest for record in records if record.kind == "subnet"}
    assert len(subnets) == N_SUBNETS


def survive(bench: Bench, fault: Fault, **options: Any) -> tuple[Store, Campaign]:
    """The campaign ends with a sentence that says how to go on, and the resumed one is whole."""
    with Store.open(bench.workspace / "store.sqlite") as store:
        with bench.session() as session:
            campaign = bench.begin(store, session.put_blob(bench.template))
        started = time.monotonic()
        with pytest.raises(DeviceError, match=r"of \d+ records are stored, the same command with --resume goes on"):
            bench.run(store, campaign, fault, **options)
        assert time.monotonic() - started < 60, "a cut ends the job in seconds"
        bench.proxy.heal()
        assert len(store.positions(campaign)) >= options.get("at", 20)
        bench.run(store, campaign)
        check_whole(store, campaign, bench)
        return store, campaign


def test_connection_reset(bench: Bench) -> None:
    survive(bench, bench.proxy.reset)


def test_black_hole(bench: Bench) -> None:
    """Nothing arrives and nobody is told: only the heartbeats notice."""
    survive(bench, bench.proxy.blackhole)


@pytest.mark.parametrize("size", [1, 3000, 20_000])
def test_cut_inside_the_record_stream(bench: Bench, size: int) -> None:
    survive(bench, lambda: bench.proxy.cut_after(size, Direction.DOWN))


def test_session_killed(bench: Bench) -> None:
    survive(bench, lambda: bench.rig.kill_sessions(signal.SIGKILL))


def test_session_stopped(bench: Bench) -> None:
    try:
        survive(bench, lambda: bench.rig.kill_sessions(signal.SIGSTOP))
    finally:
        bench.rig.kill_sessions(signal.SIGKILL)


def test_agent_killed(bench: Bench) -> None:
    survive(bench, lambda: [os.kill(pid, signal.SIGKILL) for pid in bench.agents()][0])


def test_what_was_on_its_way_is_fetched_from_the_spool(bench: Bench) -> None:
    """Records that the agent had finished when the link broke are not measured again."""
    with Store.open(bench.workspace / "store.sqlite") as store:
        with bench.session() as session:
            campaign = bench.begin(store, session.put_blob(bench.template))
        with pytest.raises(DeviceError):
            bench.run(store, campaign, bench.proxy.reset)
        n_stored = len(store.positions(campaign))
        _until(lambda: not bench.agents())
        spooled = list((Path(bench.agent_dir) / "home" / "spool").glob("*/*.json"))
        assert spooled, "the measurement at hand was finished and kept"
        summary = bench.run(store, campaign)
        assert summary.n_measured == summary.total - n_stored
        fetched = [record for record in store.records(campaign) if record.overhead_ms is None]
        assert fetched, "what was spooled came home without being measured again"
        check_whole(store, campaign, bench)
        _until(lambda: not list((Path(bench.agent_dir) / "home" / "spool").glob("*/*.json")))


def test_a_patient_campaign_goes_on_by_itself(bench: Bench) -> None:
    with Store.open(bench.workspace / "store.sqlite") as store:
        with bench.session() as session:
            campaign = bench.begin(store, session.put_blob(bench.template))
        said: list[str] = []
        bench.run(store, campaign, bench.proxy.reset, patience_s=30.0, on_status=said.append)
        check_whole(store, campaign, bench)
    assert len(said) == 1 and "trying to reach it again for 30 s" in said[0]


def test_cut_inside_the_push(bench: Bench) -> None:
    """The template goes on where it was cut."""
    content = os.urandom(12 << 20)
    with pytest.raises(DeviceError), bench.session() as session:
        bench.proxy.cut_after(9 << 20, Direction.UP)
        session.put_blob(content)
    bench.proxy.heal()
    before = bench.proxy.relayed[Direction.UP]
    with bench.session() as session:
        session.put_blob(content)
    assert bench.proxy.relayed[Direction.UP] - before < 9 << 20, "what had arrived was not sent again"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGSTOP], ids=["crashes", "hangs"])
def test_a_measuring_child_that_dies_is_measured_again(bench: Bench, number: int) -> None:
    def strike() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for pid in bench.children():
                try:
                    os.kill(pid, number)
                    return
                except ProcessLookupError:
                    continue
        raise AssertionError("no child was seen")

    with Store.open(bench.workspace / "store.sqlite") as store:
        with bench.session() as session:
            campaign = bench.begin(store, session.put_blob(bench.template))
        summary = bench.run(store, campaign, strike)
        assert summary.n_failed == 0
        check_whole(store, campaign, bench)
        assert max(record.attempts for record in store.records(campaign)) == 2


PROFILE = "import sys; from edgewright.host.cli.main import main; sys.argv = ['edgewright', *sys.argv[1:]]; main()"


def test_host_killed(bench: Bench, workspace: Path) -> None:
    """SIGKILL of the host in mid-campaign; `profile --resume` ends it."""
    argv = [sys.executable, "-c", PROFILE, "profile", "board", "--workspace", str(bench.workspace)]
    (bench.workspace / "templates").symlink_to(workspace / "templates")
    host = subprocess.Popen([*argv, "--subnets", str(N_SUBNETS)], stderr=subprocess.DEVNULL)
    path = bench.workspace / "measurements.sqlite"

    def n_stored() -> int:
        if not path.exists():
            return 0
        with Store.open(path) as store:
            return sum(len(store.positions(campaign)) for campaign in store.campaigns())

    _until(lambda: n_stored() >= 10, 120)
    host.kill()
    host.wait()
    before = n_stored()
    done = subprocess.run([*argv, "--resume", "--json"], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)["profile"]
    assert profile["n_failed"] == 0 and profile["n_measured"] == profile["total"] - before
    with Store.open(path) as store:
        check_whole(store, store.campaigns()[0], bench)


def test_two_hosts_take_turns(bench: Bench) -> None:
    """A second session measures after the first one's measurement, not beside it."""
    slow = TimingProtocol(n_runs=1, min_time_ms=1500, max_time_ms=1500, timeout_s=20)
    from edgewright.host.devices import MeasureJob

    with bench.session() as first, bench.session() as second:
        sha = first.put_blob(bench.template)
        job = MeasureJob(template_sha=sha, packed_gates=bench.trained.supernet.space.full().pack())
        from threading import Thread

        worker = Thread(target=lambda: first.measure(job, slow))
        worker.start()
        _until(lambda: bool(bench.children()))
        started = time.monotonic()
        second.measure(job, PROTOCOL)
        waited = time.monotonic() - started
        worker.join()
    assert waited > 0.3


def _until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)

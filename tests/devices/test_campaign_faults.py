"""Campaigns over SSH links that break: whatever happens, a resumed campaign of 60 subnets holds 60 intact records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices import MeasureJob, Registry
from edgewright.devices.session import agent as session_module
from edgewright.errors import DeviceError
from edgewright.profiling.plan import Campaign
from edgewright.profiling.store.store import Store

from tests.devices.campaign_bench import N_SUBNETS, Bench, Fault, wait_for
from tests.marks import sweep
from tests.rigs.fault_proxy import Direction, FaultProxy
from tests.rigs.fixtures import running
from tests.rigs.sshd import SshdRig, python_with_runtime


@dataclass
class Board(Bench):
    """A board behind a proxy."""

    rig: Any = None
    proxy: Any = None
    agent_dir: str = ""

    def agents(self) -> list[int]:
        """Agents that run on the board."""
        home = f"{self.agent_dir}/home"
        with_home = {pid for pid in _pids() if home in _argv(pid)}
        return [pid for pid in with_home if _parent(pid) not in with_home]

    def children(self) -> list[int]:
        """What the agents measure in."""
        agents = self.agents()
        return [pid for pid in _pids() if _parent(pid) in agents]


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


@contextmanager
def behind_a_proxy(rig: Any, client: Any, workspace: Path, trained: Any, template: Any) -> Iterator[Board]:
    with FaultProxy("127.0.0.1", rig.port) as proxy:
        client.add_known_host(f"[127.0.0.1]:{proxy.port} {rig.host_key()}")
        device = Registry(workspace).add("board", f"ssh://{rig.user}@127.0.0.1:{proxy.port}")
        board = Board(device, workspace, trained, template.to_bytes(), rig=rig, proxy=proxy)
        board.agent_dir = board.deploy()
        yield board


@pytest.fixture
def bench(
    ssh_rig: Any, rig_client: Any, rig_env: dict[str, str], tmp_path: Path, trained: Any, template: Any
) -> Iterator[Board]:
    with behind_a_proxy(ssh_rig, rig_client, tmp_path, trained, template) as board:
        yield board


def survive(bench: Board, fault: Fault) -> None:
    with bench.store() as store:
        campaign = bench.begin(store)
        bench.break_off(store, campaign, fault)
        bench.proxy.heal()
        bench.run(store, campaign)
        bench.check_whole(store, campaign)


def test_connection_reset(bench: Board) -> None:
    survive(bench, bench.proxy.reset)


@pytest.mark.sweep
def test_black_hole(bench: Board) -> None:
    """Nothing arrives and nobody is told: only the heartbeats notice."""
    survive(bench, bench.proxy.blackhole)


@pytest.mark.parametrize("size", [1, sweep(3000), sweep(20_000)])
def test_cut_inside_the_record_stream(bench: Board, size: int) -> None:
    survive(bench, lambda: bench.proxy.cut_after(size, Direction.DOWN))


def test_session_killed(bench: Board) -> None:
    survive(bench, lambda: bench.rig.kill_sessions(signal.SIGKILL))


@pytest.mark.sweep
def test_session_stopped(bench: Board) -> None:
    try:
        survive(bench, lambda: bench.rig.kill_sessions(signal.SIGSTOP))
    finally:
        bench.rig.kill_sessions(signal.SIGKILL)


@pytest.mark.sweep
def test_agent_killed(bench: Board) -> None:
    survive(bench, lambda: [os.kill(pid, signal.SIGKILL) for pid in bench.agents()][0])


@pytest.mark.sweep
def test_cut_inside_the_push(bench: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The template goes on where it was cut, and the campaign with it."""
    monkeypatch.setattr(session_module, "_CHUNK_BYTES", 1 << 19)
    size = len(bench.template)
    (Path(bench.agent_dir) / "home" / "blobs").mkdir(parents=True, exist_ok=True)
    for blob in (Path(bench.agent_dir) / "home" / "blobs").iterdir():
        blob.unlink()
    with bench.store() as store:
        campaign = bench.begin(store)
        with pytest.raises(DeviceError, match="0 of 74 records are stored"):
            bench.proxy.cut_after(size // 2 + 20_000, Direction.UP)
            bench.run(store, campaign)
        bench.proxy.heal()
        before = bench.proxy.relayed[Direction.UP]
        with bench.session() as session:
            session.put_blob(bench.template)
        assert bench.proxy.relayed[Direction.UP] - before < 0.8 * size, "what had arrived was not sent again"
        bench.run(store, campaign)
        bench.check_whole(store, campaign)


@pytest.mark.sweep
def test_what_was_on_its_way_is_fetched_from_the_spool(bench: Board) -> None:
    """Records that the agent had finished when the link broke are not measured again."""
    spool = Path(bench.agent_dir) / "home" / "spool"
    with bench.store() as store:
        campaign = bench.begin(store)
        bench.break_off(store, campaign, bench.proxy.reset)
        n_stored = len(store.positions(campaign))
        wait_for(lambda: not bench.agents(), "the agent to end")
        assert list(spool.glob("*/*.json")), "the measurement at hand was finished and kept"
        summary = bench.run(store, campaign)
        assert summary.n_measured == summary.total - n_stored
        fetched = [record for record in store.records(campaign) if record.overhead_ms is None]
        assert fetched, "what was spooled came home without being measured again"
        bench.check_whole(store, campaign)
        wait_for(lambda: not list(spool.glob("*/*.json")), "the spool to be emptied")


@pytest.mark.sweep
def test_a_patient_campaign_goes_on_by_itself(bench: Board) -> None:
    said: list[str] = []
    with bench.store() as store:
        campaign = bench.begin(store)
        bench.run(store, campaign, bench.proxy.reset, patience_s=30.0, on_status=said.append)
        bench.check_whole(store, campaign)
    assert len(said) == 1 and "trying to reach it again for 30 s" in said[0]


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGSEGV, id="crashes"),
        sweep(signal.SIGSTOP, id="hangs"),
        sweep(signal.SIGKILL, id="killed for its memory"),
    ],
)
def test_a_measuring_child_that_dies_is_measured_again(bench: Board, number: int) -> None:
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

    with bench.store() as store:
        campaign = bench.begin(store)
        assert bench.run(store, campaign, strike).n_failed == 0
        bench.check_whole(store, campaign)
        assert max(record.attempts for record in store.records(campaign)) == 2


HUNGRY = """
import os, resource, signal
def ask(*_):
    # Only under the agent's limit: without one the kernel grants 8 GiB to anybody.
    if resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY and os.path.exists({mark!r}):
        os.unlink({mark!r})
        bytearray(8 << 30)
def child():
    # One measuring child asks for 8 GiB; however fast or slow it is, its limit stands by then.
    if os.path.exists({mark!r}):
        signal.signal(signal.SIGALRM, ask)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
os.register_at_fork(after_in_child=child)
"""


@pytest.mark.sweep
def test_a_measuring_child_that_eats_memory_is_measured_again(
    rig_client: Any, rig_env: dict[str, str], tmp_path: Path, trained: Any, template: Any
) -> None:
    """A child really allocates what it may not have; the agent keeps its own memory, and the record is made again."""
    site = rig_client.session.path / "hungry"
    site.mkdir(mode=0o755)
    mark = site / "now"
    (site / "sitecustomize.py").write_text(HUNGRY.format(mark=str(mark)))
    settings = [f"SetEnv PYTHONPATH={site} PATH={python_with_runtime()}/bin:/usr/bin:/bin"]
    with running(lambda: SshdRig(rig_client, settings)) as rig:
        site.chmod(0o777)  # the rig's user removes the mark
        with behind_a_proxy(rig, rig_client, tmp_path, trained, template) as bench, bench.store() as store:
            campaign = bench.begin(store)
            assert bench.run(store, campaign, mark.touch).n_failed == 0
            assert not mark.exists(), "a child took the bait"
            bench.check_whole(store, campaign)
            assert max(record.attempts for record in store.records(campaign)) == 2


def test_device_disk_full(
    rig_client: Any, rig_env: dict[str, str], tmp_path: Path, trained: Any, template: Any
) -> None:
    """What is measured on a full disk still comes home; a link that breaks then costs the record at hand, no other."""
    with running(lambda: SshdRig(rig_client, disk_mib=48)) as rig:
        with behind_a_proxy(rig, rig_client, tmp_path, trained, template) as bench, bench.store() as store:
            campaign = bench.begin(store)

            def fill() -> None:
                done = _on(bench, 'cat /dev/zero > "$HOME/filler"')
                assert "No space left" in done

            def fill_and_cut() -> None:
                fill()
                bench.proxy.reset()

            bench.break_off(store, campaign, fill_and_cut)
            assert bench.run(store, campaign).n_failed == 0
            bench.check_whole(store, campaign)
            _on(bench, 'rm "$HOME/filler"')


def _on(bench: Board, script: str) -> str:
    """What a script on the board complained about."""
    from edgewright.devices import connect

    transport = connect(bench.device, bench.workspace)
    try:
        return transport.run(["sh", "-c", script], 60).stderr.decode()
    finally:
        transport.close()


PROFILE = "import sys; from edgewright.cli.app import main; sys.argv = ['edgewright', *sys.argv[1:]]; main()"


@pytest.mark.sweep
def test_host_killed(bench: Board, workspace: Path) -> None:
    """SIGKILL of the host in mid-campaign; `profile --resume` ends it."""
    argv = [sys.executable, "-c", PROFILE, "profile", "board", "--workspace", str(bench.workspace)]
    (bench.workspace / "templates").symlink_to(workspace / "templates")
    host = subprocess.Popen([*argv, "--subnets", str(N_SUBNETS)], stderr=subprocess.DEVNULL)
    path = bench.workspace / "measurements.sqlite"

    def stored() -> dict[Campaign, int]:
        if not path.exists():
            return {}
        with Store.open(path) as store:
            return {campaign: len(store.positions(campaign)) for campaign in store.campaigns()}

    wait_for(lambda: sum(stored().values()) >= 10, "ten records", 120)
    host.kill()
    host.wait()
    [(campaign, before)] = stored().items()
    done = subprocess.run([*argv, "--resume", "--json"], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)["profile"]
    assert profile["n_failed"] == 0 and profile["n_measured"] == profile["total"] - before
    with Store.open(path) as store:
        bench.check_whole(store, campaign)


@pytest.mark.sweep
def test_two_hosts_take_turns(bench: Board) -> None:
    """A second session measures after the first one's measurement, not beside it."""
    slow = TimingProtocol(n_runs=1, min_time_ms=1500, max_time_ms=1500, timeout_s=20)
    with bench.session() as first, bench.session() as second:
        sha = first.put_blob(bench.template)
        job = MeasureJob(template_sha=sha, packed_gates=bench.trained.supernet.space.full().pack())
        worker = Thread(target=lambda: first.measure(job, slow))
        worker.start()
        wait_for(bench.children, "the first measurement")
        started = time.monotonic()
        second.measure(job, TimingProtocol(n_runs=5, min_time_ms=1.0))
        waited = time.monotonic() - started
        worker.join()
    assert waited > 0.3

"""One process at a time runs a campaign on a device of a workspace, or what would disturb one; others see which."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from edgewright.errors import DeviceRefused, Interrupted
from edgewright.file_lock import is_locked_elsewhere
from edgewright.workbench.campaign_lock import CampaignLock
from edgewright.workbench.workbench import Workbench
from edgewright.workspace import Workspace

HOLDER = """
import sys, time
from pathlib import Path
from edgewright.workbench.campaign_lock import CampaignLock
from edgewright.workspace import Workspace
lock = CampaignLock(Workspace(Path(sys.argv[1])), "local")
with %s:
    print("held", flush=True)
    sys.stdin.readline()
"""
CAMPAIGN, DEPLOYMENT = "lock.held(print), lock.measuring(7)", "lock.held_now('deploy')"


@contextmanager
def another_process(folder, holding):
    """One that holds the lock of "local" until it gets a line, or is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER % holding, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of "local" and runs campaign 7."""
    with another_process(tmp_path, CAMPAIGN) as process:
        yield process


@pytest.fixture
def lock(tmp_path):
    return CampaignLock(Workspace(tmp_path), "local")


def test_nothing_runs_where_nobody_holds_the_lock(lock, tmp_path):
    assert lock.running() is None
    assert list(tmp_path.iterdir()) == [], "asking writes nothing"
    with lock.held_now("deploy"):
        assert lock.running() is None


def test_the_campaign_of_another_process_is_seen(lock, holder):
    assert lock.running() == 7
    said = "another process is using 'local'; wait for it to end, or stop it, then deploy"
    with pytest.raises(DeviceRefused, match=said), lock.held_now("deploy"):
        pytest.fail("the lock is another's")


def test_devices_have_locks_of_their_own(holder, tmp_path):
    assert CampaignLock(Workspace(tmp_path), "board").running() is None


def test_a_holder_that_is_killed_holds_nothing(lock, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert lock.running() is None
    with lock.held(pytest.fail):
        assert lock.running() is None, "the own campaign is not another process's"


def test_what_a_killed_process_ran_is_not_taken_for_what_the_next_one_runs(tmp_path, lock, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    release = threading.Event()
    held = threading.Event()

    def hold():
        with CampaignLock(Workspace(tmp_path), "local").held(pytest.fail):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    assert lock.running() is None
    with pytest.raises(DeviceRefused), lock.held_now("deploy"):
        pytest.fail("the lock is another thread's")
    release.set()
    thread.join()


def check_that_it_waits_for(lock, holder):
    """Once told so, the holder lets go."""
    said = []

    def tell(sentence):
        said.append(sentence)
        holder.stdin.write("\n")
        holder.stdin.flush()

    with lock.held(tell):
        assert said == ["another process is using 'local': waiting for it to end"]


def test_the_holder_is_waited_for_and_that_is_said_once(lock, holder):
    check_that_it_waits_for(lock, holder)


def test_a_campaign_waits_for_what_would_disturb_it(lock, tmp_path):
    with another_process(tmp_path, DEPLOYMENT) as holder:
        assert lock.running() is None, "nothing is measured"
        check_that_it_waits_for(lock, holder)


def test_a_device_is_reserved_while_nobody_uses_it(tmp_path, holder):
    with Workbench(tmp_path) as bench:
        device = bench.device("local")
        with pytest.raises(DeviceRefused, match="another process is using 'local'.* then deploy"):
            with device.reserved("deploy"):
                pytest.fail("the device is another's")
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with device.reserved("deploy"):
            assert locked_for_others(tmp_path)
    assert not locked_for_others(tmp_path)


def locked_for_others(folder):
    """Asked in another thread: the one that holds the lock may take it again."""
    with ThreadPoolExecutor(1) as other:
        return other.submit(is_locked_elsewhere, Workspace(folder).locks / "local.lock").result()


def test_a_wait_can_be_stopped(lock, holder):
    stop = threading.Event()
    with pytest.raises(Interrupted, match="another process was using 'local'"), lock.held(
        lambda sentence: stop.set(), stop
    ):
        pytest.fail("the lock is another's")


def test_a_thread_may_hold_it_twice(lock, tmp_path):
    with lock.held(pytest.fail), CampaignLock(Workspace(tmp_path), "local").held(pytest.fail):
        assert lock.running() is None

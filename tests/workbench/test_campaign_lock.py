"""One process at a time runs a campaign on a device of a workspace; others see which."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from edgewright.errors import DeviceRefused, Interrupted
from edgewright.workbench.campaign_lock import CampaignLock
from edgewright.workspace import Workspace

HOLDER = """
import sys, time
from pathlib import Path
from edgewright.workbench.campaign_lock import CampaignLock
from edgewright.workspace import Workspace
lock = CampaignLock(Workspace(Path(sys.argv[1])), "local")
with lock.held(print), lock.measuring(7):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of "local" and runs campaign 7."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.fixture
def lock(tmp_path):
    return CampaignLock(Workspace(tmp_path), "local")


def test_nothing_runs_where_nobody_holds_the_lock(lock, tmp_path):
    assert lock.running() is None
    lock.refuse_while_held("deploy")
    assert list(tmp_path.iterdir()) == [], "asking writes nothing"


def test_the_campaign_of_another_process_is_seen(lock, holder):
    assert lock.running() == 7
    with pytest.raises(DeviceRefused, match="another process is measuring on 'local'; wait for it to end, or stop it"):
        lock.refuse_while_held("deploy")


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
    with pytest.raises(DeviceRefused):
        lock.refuse_while_held("deploy")
    release.set()
    thread.join()


def test_the_holder_is_waited_for_and_that_is_said_once(lock, holder):
    said = []

    def tell(sentence):
        said.append(sentence)
        holder.stdin.write("\n")
        holder.stdin.flush()

    with lock.held(tell):
        assert said == ["another process is measuring on 'local': waiting for it to end"]


def test_a_wait_can_be_stopped(lock, holder):
    stop = threading.Event()
    with pytest.raises(Interrupted, match="another process was measuring on 'local'"), lock.held(
        lambda sentence: stop.set(), stop
    ):
        pytest.fail("the lock is another's")


def test_a_thread_may_hold_it_twice(lock, tmp_path):
    with lock.held(pytest.fail), CampaignLock(Workspace(tmp_path), "local").held(pytest.fail):
        assert lock.running() is None

"""Faults of SSH after login: a link that breaks or stalls, SFTP's errors, noisy login shells."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edgewright.devices.ssh import connect as ssh_connect
from edgewright.devices.ssh import route as ssh_way
from edgewright.devices.ssh import transport as ssh
from edgewright.errors import DeviceError, InputError, StorageError

from tests.rigs.desk import Desk
from tests.rigs.fault_proxy import Direction, FaultProxy
from tests.rigs.sshd import SshdRig

LOST = "the SSH connection was lost"


@pytest.fixture
def desk(desk: Desk, ssh_rig: SshdRig) -> Iterator[Desk]:
    """One that knows the rig, which is left clean."""
    desk.trust(ssh_rig)
    yield desk
    ssh_rig.kill_sessions()
    for left in ssh_rig.home.glob(".edgewright-*.part"):  # nobody could take it away when the link was cut
        left.unlink()


@pytest.fixture
def proxy(ssh_rig: SshdRig, desk: Desk) -> Iterator[FaultProxy]:
    with FaultProxy(ssh_rig.host, ssh_rig.port) as proxy:
        desk.trust(ssh_rig, f"[127.0.0.1]:{proxy.port}")
        yield proxy
        desk.close()


@pytest.fixture
def through_proxy(proxy: FaultProxy, desk: Desk, ssh_rig: SshdRig) -> ssh.SshTransport:
    return desk.connect(f"ssh://{ssh_rig.user}@127.0.0.1:{proxy.port}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_REPLY_S", "_TRANSFER_S", "_KILL_S", "_EXPLAIN_S"):
        monkeypatch.setattr(ssh, name, 0.5)


def random_file(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


def in_less_than(limit_s: float, began: float) -> bool:
    """A generous bound, to see that nothing hangs."""
    return time.monotonic() - began < limit_s


# The link breaks


def test_the_end_of_the_session_is_seen_at_once(desk: Desk, ssh_rig: SshdRig) -> None:
    transport = desk.connect(ssh_rig.uri)
    stream = transport.open_stream(["sh", "-c", "echo up; exec sleep 600"])
    assert stream.read(3, 30) == b"up\n"
    began = time.monotonic()
    ssh_rig.kill_sessions(signal.SIGKILL)
    assert stream.read(1, 60) == b"" and stream.ending() == LOST
    with pytest.raises(OSError):
        stream.write(b"x", 60)
    with pytest.raises(DeviceError, match="device 'nano'.*while starting true"):
        transport.run(["true"], 60)
    with pytest.raises(DeviceError, match="while starting cat"):
        transport.open_stream(["cat"])
    stream.close(60)
    stream.kill()
    transport.close()
    assert in_less_than(20, began)


def test_a_command_is_running_when_the_link_breaks(proxy: FaultProxy, through_proxy: ssh.SshTransport) -> None:
    proxy.cut_after(200_000, Direction.DOWN)
    with pytest.raises(DeviceError, match=f"{LOST} while running sh"):
        through_proxy.run(["sh", "-c", "sleep 0.5; head -c 9000000 /dev/zero"], 60)


def test_a_signal_is_told_from_a_broken_link(desk: Desk, ssh_rig: SshdRig) -> None:
    transport = desk.connect(ssh_rig.uri)
    stream = transport.open_stream(["sh", "-c", "kill -KILL $$"])
    assert stream.read(1, 30) == b"" and stream.ending() == "it was killed by a signal"
    assert transport.run(["sh", "-c", "kill -KILL $$"], 30).returncode == 137


def test_a_broken_push_leaves_the_old_file(
    proxy: FaultProxy, through_proxy: ssh.SshTransport, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    target = ssh_rig.home / "model"
    through_proxy.push(random_file(tmp_path / "old", 1000), str(target))
    proxy.cut_after(3_000_000, Direction.UP)
    began = time.monotonic()
    with pytest.raises(DeviceError, match=f"{LOST} while trying to write '{target}'"):
        through_proxy.push(random_file(tmp_path / "new", 8_000_000), str(target))
    assert in_less_than(20, began) and target.read_bytes() == (tmp_path / "old").read_bytes()


def test_a_broken_pull_leaves_the_old_file(
    proxy: FaultProxy, through_proxy: ssh.SshTransport, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    random_file(ssh_rig.home / "records", 8_000_000)
    back = random_file(tmp_path / "back", 10)
    old = back.read_bytes()
    proxy.cut_after(3_000_000, Direction.DOWN)
    with pytest.raises(DeviceError, match=f"{LOST} while trying to read"):
        through_proxy.pull(str(ssh_rig.home / "records"), back)
    assert back.read_bytes() == old and sorted(path.name for path in tmp_path.iterdir()) == ["back", "home"]


# The link stalls


def test_a_stopped_session(desk: Desk, ssh_rig: SshdRig, impatient: None, tmp_path: Path) -> None:
    transport = desk.connect(ssh_rig.uri)
    stream = transport.open_stream(["cat"])
    began = time.monotonic()
    ssh_rig.kill_sessions(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        stream.read(1, 0.5)
    with pytest.raises(DeviceError, match="true did not end within 0.5 s"):
        transport.run(["true"], 0.5)
    with pytest.raises(DeviceError, match="cat did not end within 0.5 s"):
        transport.open_stream(["cat"])
    with pytest.raises(DeviceError, match="no answer for 0.5 s"):
        transport.pull("/etc/passwd", tmp_path / "back")
    stream.kill()
    transport.close()
    assert in_less_than(30, began)


def test_a_session_that_goes_on_is_as_good_as_before(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    transport = desk.connect(ssh_rig.uri)
    stream = transport.open_stream(["cat"])
    ssh_rig.kill_sessions(signal.SIGSTOP)
    stream.write(b"x", 5)
    with pytest.raises(TimeoutError):
        stream.read(1, 0.3)
    ssh_rig.kill_sessions(signal.SIGCONT)
    assert stream.read(1, 30) == b"x"
    assert transport.run(["echo", "hi"], 30).stdout == b"hi\n"


def test_a_push_into_a_black_hole_ends(
    impatient: None, proxy: FaultProxy, through_proxy: ssh.SshTransport, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    proxy.blackhole()
    began = time.monotonic()
    for _ in range(2):  # in a session that was open already, and in a new one
        with pytest.raises(DeviceError, match="no answer for 0.5 s"):
            through_proxy.push(random_file(tmp_path / "new", 8_000_000), str(ssh_rig.home / "swallowed"))
    with pytest.raises(DeviceError, match="true did not end within 0.5 s"):
        through_proxy.run(["true"], 0.5)
    assert in_less_than(30, began)
    proxy.heal()
    assert not (ssh_rig.home / "swallowed").exists()


def test_full_buffers_end_a_link_in_time(
    proxy: FaultProxy, desk: Desk, ssh_rig: SshdRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The windows of many streams together hold more than the buffers on the way: then it is TCP that stalls."""

    def connect_with_small_buffers(*arguments: Any) -> socket.socket:
        sock = ssh_way.connect(*arguments)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return sock

    proxy._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    monkeypatch.setattr(ssh_connect, "connect", connect_with_small_buffers)
    monkeypatch.setattr(ssh_connect, "_STALL_S", 0.5)
    monkeypatch.setattr(ssh, "_KILL_S", 0.5)
    transport = desk.connect(f"ssh://{ssh_rig.user}@127.0.0.1:{proxy.port}")
    streams = [transport.open_stream(["sleep", "600"]) for _ in range(9)]
    began = time.monotonic()
    proxy.blackhole()
    for stream in streams:
        with pytest.raises(OSError):  # a TimeoutError is one
            stream.write(b"x" * 4_000_000, 0.2)
    assert not transport._link.is_alive()
    transport.close()
    assert in_less_than(30, began)


# Files


def test_a_push_is_private_from_its_first_byte(
    proxy: FaultProxy, through_proxy: ssh.SshTransport, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    """What a broken push leaves behind is the file as it was being written."""
    proxy.cut_after(2_000_000, Direction.UP)
    with pytest.raises(DeviceError):
        through_proxy.push(random_file(tmp_path / "secret", 8_000_000), str(ssh_rig.home / "secret"), 0o600)
    (left,) = ssh_rig.home.glob(".edgewright-*.part")
    assert left.stat().st_mode & 0o777 == 0o600
    left.unlink()


def test_a_full_disk(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a rig a disk of its own; to run this test: run the tests as root")
    with SshdRig(ssh_rig.client, disk_mib=4) as small:
        desk.trust(small)
        transport = desk.connect(small.uri)
        transport.push(random_file(tmp_path / "old", 1_000_000), f"{small.home}/model")
        with pytest.raises(DeviceError, match=r"its disk is full: \d+ bytes are free, 8000000 are needed"):
            transport.push(random_file(tmp_path / "new", 8_000_000), f"{small.home}/model")
        assert transport.run(["ls", "-A", str(small.home)], 30).stdout == b"model\n"
        transport.pull(f"{small.home}/model", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == (tmp_path / "old").read_bytes()


def test_no_permission(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    transport = desk.connect(ssh_rig.uri)
    (ssh_rig.home / "closed").mkdir()
    (ssh_rig.home / "closed").chmod(0)
    if os.getuid() == 0:
        with pytest.raises(DeviceError, match="has no permission there; use a folder that user owns, such as"):
            transport.push(random_file(tmp_path / "file", 10), "/etc/edgewright")
    with pytest.raises(DeviceError, match="cannot read '/.*closed/x': its user has no permission"):
        transport.pull(f"{ssh_rig.home}/closed/x", tmp_path / "back")
    (ssh_rig.home / "closed").rmdir()


def test_after_a_refused_push_the_next_one_works(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    transport = desk.connect(ssh_rig.uri)
    source = random_file(tmp_path / "file", 5_000_000)
    for _ in range(3):
        with pytest.raises(DeviceError):
            transport.push(source, f"{ssh_rig.home}/missing/file")
        transport.push(source, f"{ssh_rig.home}/file")
    said = transport.run(["sha256sum", f"{ssh_rig.home}/file"], 30).stdout.decode()
    assert said.split()[0] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_full_disk_here_is_no_fault_of_the_device(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    random_file(ssh_rig.home / "big", 100_000)
    transport = desk.connect(ssh_rig.uri)
    with pytest.raises(StorageError, match="cannot write"):
        transport.pull(f"{ssh_rig.home}/big", Path("/proc/version/back"))
    full = open("/dev/full", "wb", buffering=0)
    with full, pytest.raises(OSError, match="No space left on device"):
        transport._download(f"{ssh_rig.home}/big", full)


def test_files_of_the_kernel_have_no_size(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    desk.connect(ssh_rig.uri).pull("/proc/cpuinfo", tmp_path / "cpuinfo")
    assert (tmp_path / "cpuinfo").read_bytes().startswith(b"processor")


@pytest.mark.parametrize("path", ["relative", "", "~/x", "/a\0b"])
def test_paths_are_absolute(desk: Desk, ssh_rig: SshdRig, tmp_path: Path, path: str) -> None:
    transport = desk.connect(ssh_rig.uri)
    with pytest.raises(InputError, match="absolute"):
        transport.push(random_file(tmp_path / "file", 10), path)
    with pytest.raises(InputError, match="absolute"):
        transport.pull(path, tmp_path / "back")


# Commands


def test_names_that_are_no_text_arrive_as_they_are(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    name = f"{ssh_rig.home}/caf" + os.fsdecode(b"\xe9")
    transport = desk.connect(ssh_rig.uri)
    transport.push(random_file(tmp_path / "file", 10), name)
    assert transport.run(["cat", name], 30).stdout == (tmp_path / "file").read_bytes()
    os.unlink(name)


def test_a_command_too_long_for_ssh_is_refused_before_it_is_sent(desk: Desk, ssh_rig: SshdRig) -> None:
    transport = desk.connect(ssh_rig.uri)
    with pytest.raises(InputError, match="put long arguments into a file"):
        transport.run(["true", "x" * 200_000], 30)
    with pytest.raises(InputError, match="empty list"):
        transport.run([], 30)
    assert transport.run(["echo", "hi"], 30).stdout == b"hi\n"


def test_a_login_shell_that_talks_and_stays(desk: Desk, ssh_rig: SshdRig) -> None:
    """Startup files print to stderr, and not every login shell lets the command take its place."""
    script = (
        "case $SSH_ORIGINAL_COMMAND in internal-sftp) exec /usr/lib/openssh/sftp-server;; esac; "
        "echo 'warning: setlocale failed' >&2; sh -c \"$SSH_ORIGINAL_COMMAND\"; exit $?"
    )
    with SshdRig(ssh_rig.client, [f"ForceCommand {script}"]) as noisy:
        desk.trust(noisy)
        transport = desk.connect(noisy.uri)
        done = transport.run(["sh", "-c", "echo out; echo err >&2; exit 3"], 30)
        assert (done.returncode, done.stdout) == (3, b"out\n")
        assert done.stderr == b"err\n", "what the login shell says is not the command's"
        stream = transport.open_stream(["sleep", "601"])
        while ["sleep", "601"] not in noisy.processes().values():
            time.sleep(0.01)
        stream.kill()
        deadline = time.monotonic() + 10
        while ["sleep", "601"] in noisy.processes().values():
            assert time.monotonic() < deadline, "it was not killed"
            time.sleep(0.01)

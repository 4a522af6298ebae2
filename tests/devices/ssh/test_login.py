"""The way to a device over SSH, against real servers: addresses, ~/.ssh/config, jump hosts, and not getting there."""

from __future__ import annotations

import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from edgewright.devices.ssh.files import sftp_on
from edgewright.errors import InputError

from tests.devices.campaign_bench import wait_for
from tests.rigs.desk import Desk
from tests.rigs.fault_proxy import Direction, FaultProxy
from tests.rigs.sshd import SshdRig


def logins(rig: SshdRig) -> int:
    return rig.log().count("Accepted ")


# Addresses and ~/.ssh/config


def test_a_plain_uri(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    transport = desk.connect(ssh_rig.uri)
    assert transport.agent_dir == f"{ssh_rig.home}/.edgewright"
    assert transport.run(["id", "-un"], 30).stdout.decode().strip() == ssh_rig.user


def test_an_alias_of_the_configuration(desk: Desk, ssh_rig: SshdRig) -> None:
    (desk.key).rename(desk.ssh / "nano key")
    desk.trust(ssh_rig, "the-nano")
    desk.config(
        f"Host Nano\n HostName {ssh_rig.host}\n User {ssh_rig.user}\n Port {ssh_rig.port}\n HostKeyAlias the-nano\n"
        f' IdentityFile "~/.ssh/nano key"\n IdentitiesOnly yes\n'
    )
    assert desk.whoami("ssh://Nano") == ssh_rig.user
    assert "'root'" in desk.refusal("ssh://root@Nano")
    assert "refused the connection" in desk.refusal("ssh://Nano:1")


def test_known_hosts_files_of_the_configuration(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.known_hosts.rename(desk.home / "my hosts")
    desk.config(f'UserKnownHostsFile ~/others "{desk.home}/my hosts"\n')
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


@pytest.mark.parametrize("jumps", ["{gate}", "{gate},{rig}", "ssh://{gate}", "gate-alias"])
def test_jump_hosts(desk: Desk, ssh_rig: SshdRig, gate: SshdRig, jumps: str) -> None:
    desk.trust(ssh_rig)
    desk.trust(gate)
    hosts = {"gate": gate.uri.removeprefix("ssh://"), "rig": ssh_rig.uri.removeprefix("ssh://")}
    desk.config(
        f"Host gate-alias\n HostName {gate.host}\n User {gate.user}\n Port {gate.port}\n"
        f"Host nano\n HostName {ssh_rig.host}\n User {ssh_rig.user}\n Port {ssh_rig.port}\n"
        f" ProxyJump {jumps.format(**hosts)}\n"
    )
    before = logins(gate)
    transport = desk.connect("ssh://nano")
    assert logins(gate) == before + 1, "it went straight there"
    assert transport.run(["id", "-un"], 30).stdout.decode().strip() == ssh_rig.user
    stream = transport.open_stream(["cat"])
    stream.write(b"x" * 300_000, 30)
    received = 0
    while received < 300_000:
        received += len(stream.read(1 << 20, 30))
    gate.kill_sessions(signal.SIGKILL)
    assert stream.read(1, 10) == b"" and stream.ending() == "the SSH connection was lost"


def test_a_jump_host_is_checked_like_any_other(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.config(f"Host {ssh_rig.host}\n ProxyJump none\nHost nano\n ProxyJump {gate.uri}\n")
    text = desk.refusal("ssh://nano")
    assert "not known yet" in text and gate.fingerprint() in text


def test_a_jump_host_that_does_not_lead_there(desk: Desk, gate: SshdRig) -> None:
    desk.trust(gate)
    desk.config(f"Host nano\n HostName 127.0.0.1\n ProxyJump {gate.uri}\n")
    text = desk.refusal("ssh://nano:1")
    assert "jump host 127.0.0.1" in text and "does not lead to nano (127.0.0.1:1)" in text and "nc -vz" in text
    with SshdRig(gate.client, ["AllowTcpForwarding no"]) as closed:
        desk.trust(closed)
        desk.config(f"Host nano\n HostName 127.0.0.1\n ProxyJump {closed.uri}\n")
        assert "AllowTcpForwarding" in desk.refusal("ssh://nano")


def test_jump_hosts_in_a_circle(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.config("Host *\n ProxyJump gate\n")
    with pytest.raises(InputError, match="loop"):
        desk.connect(ssh_rig.uri)


def test_a_proxy_command(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    desk.trust(ssh_rig)
    way = ["ssh", *gate.client.ssh_options, "-p", str(gate.port), "-W", "%h:%p", f"{gate.user}@{gate.host}"]
    desk.config(f"Host {ssh_rig.host}\n ProxyCommand {shlex.join(way)} 2>/dev/null\n")
    before = logins(gate)
    transport = desk.connect(ssh_rig.uri)
    assert logins(gate) == before + 1
    assert transport.run(["head", "-c", "3000000", "/dev/zero"], 30).stdout == bytes(3_000_000)
    stream = transport.open_stream(["cat"])
    gate.kill_sessions(signal.SIGKILL)
    assert stream.read(1, 10) == b"" and stream.ending() == "the SSH connection was lost"


def test_a_proxy_command_that_fails_says_why(desk: Desk) -> None:
    desk.config("ProxyCommand echo no route to %h >&2; exit 1\n")
    text = desk.refusal("ssh://jet@nano")
    assert "ProxyCommand for nano:22" in text and "no route to nano" in text


def test_a_proxy_command_that_hangs_is_ended(desk: Desk, tmp_path: Path) -> None:
    desk.config(f"ProxyCommand sh -c 'echo $$ > {tmp_path}/pid; sleep 600'\n")
    assert "ProxyCommand" in desk.refusal("ssh://jet@nano", 1)
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


# Not getting there


def test_a_port_where_nothing_listens(desk: Desk) -> None:
    text = desk.refusal("ssh://jet@127.0.0.1:1")
    assert "127.0.0.1:1 refused the connection" in text and "systemctl start ssh" in text


def test_a_name_that_is_not_there(desk: Desk) -> None:
    assert "there is no host named 'no-such-board.invalid'" in desk.refusal("ssh://jet@no-such-board.invalid", 30)
    assert "there is no host named" in desk.refusal(f"ssh://jet@{'x' * 64}.lab", 30)


def test_a_name_server_that_says_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answer.wait(30)])
    assert "name server said nothing about 'nano.lab' within 0.3 s" in desk.refusal("ssh://jet@nano.lab", 0.3)
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "edgewright-resolve":
            thread.join()


def test_a_device_that_does_not_answer(desk: Desk, ssh_rig: SshdRig) -> None:
    with FaultProxy(ssh_rig.host, ssh_rig.port) as proxy:
        proxy.blackhole()
        uri = f"ssh://jet@127.0.0.1:{proxy.port}"
        assert "did not begin to speak SSH within 1 s" in desk.refusal(uri, 1)
        desk.config("ConnectTimeout 1\n")
        assert "within 1 s" in desk.refusal(uri, 600)
        proxy.heal()
        proxy.refuse()
        assert "does not speak SSH as expected" in desk.refusal(uri, 10)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_device_that_falls_silent_in_the_login(desk: Desk, ssh_rig: SshdRig, share: float) -> None:
    """When it has sent this share of what a whole login takes."""
    with FaultProxy(ssh_rig.host, ssh_rig.port) as proxy:
        desk.trust(ssh_rig, f"[127.0.0.1]:{proxy.port}")
        uri = f"ssh://{ssh_rig.user}@127.0.0.1:{proxy.port}"
        desk.connect(uri).close()
        proxy.swallow_after(int(share * proxy.relayed[Direction.DOWN]), Direction.DOWN)
        text = desk.refusal(uri, 2)
        assert "within 2 s" in text or "did not answer in time" in text


def test_something_else_than_an_ssh_server(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as sock:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1000)

        answering = threading.Thread(target=answer)
        answering.start()
        text = desk.refusal(f"ssh://jet@127.0.0.1:{server.getsockname()[1]}", 5)
        answering.join()
    assert "does not speak SSH as expected" in text and "ssh -v -p" in text


def test_a_failure_is_one_sentence_and_nothing_of_paramikos_own(desk: Desk) -> None:
    code = (
        "from edgewright.devices.registry import parse_uri\n"
        "from edgewright.devices.ssh.transport import connect_ssh\n"
        "import sys, socket, threading, time\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=lambda: server.accept()[0].sendall(b'nonsense\\n' * 200), daemon=True).start()\n"
        "try: connect_ssh(parse_uri(f'ssh://a@127.0.0.1:{server.getsockname()[1]}'), 'nano', 30)\n"
        "except Exception as error: print(error)\n"
        "print(time.process_time())\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "" and "does not speak SSH" in done.stdout
    assert time.monotonic() - began < 20, "something held up the end of the process"


# SFTP


def test_where_the_subsystem_does_not_work_its_server_is_started_as_a_command(
    desk: Desk, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    with SshdRig(ssh_rig.client, [f"Subsystem sftp {shutil.which('false')}"]) as bare:
        desk.trust(bare)
        transport = desk.connect(bare.uri)
        (tmp_path / "file").write_bytes(b"over a command")
        transport.push(tmp_path / "file", f"{bare.home}/file")
        assert (bare.home / "file").read_bytes() == b"over a command"


def test_an_sftp_server_that_ends_at_once(desk: Desk, ssh_rig: SshdRig) -> None:
    """Before it is asked anything: then paramiko says no more than that a socket is closed."""
    desk.trust(ssh_rig)
    channel = desk.connect(ssh_rig.uri)._link.transport.open_session()
    channel.exec_command("false")
    wait_for(lambda: channel.closed, "the server to close the channel")
    with pytest.raises(EOFError, match="closed"):
        sftp_on(channel)


def test_a_server_without_sftp(desk: Desk, ssh_rig: SshdRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.devices.ssh.transport._SFTP_SERVER", "exit 127")
    with SshdRig(ssh_rig.client, [f"Subsystem sftp {shutil.which('false')}"]) as bare:
        desk.trust(bare)
        assert "Subsystem sftp internal-sftp" in desk.refusal(bare.uri)

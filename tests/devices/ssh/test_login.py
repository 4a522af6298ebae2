"""Getting in over SSH: the way there, the host's key, our key, against real servers."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgewright.errors import InputError

from tests.rigs.client import make_ssh_key
from tests.rigs.desk import Desk, at_a_desk
from tests.rigs.fault_proxy import FaultProxy
from tests.rigs.sshd import SshdRig


@pytest.fixture
def desk(ssh_rig: SshdRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with at_a_desk(tmp_path / "home", ssh_rig.client.ssh_key, monkeypatch) as desk:
        yield desk


@pytest.fixture(scope="module")
def gate(ssh_rig: SshdRig) -> Iterator[SshdRig]:
    """A second host, to jump over."""
    with SshdRig(ssh_rig.client) as rig:
        yield rig


def logins(rig: SshdRig) -> int:
    return rig.log().count("Accepted ")


def whoami(desk: Desk, uri: str) -> str:
    return desk.connect(uri).run(["id", "-un"], 30).stdout.decode().strip()


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
    assert whoami(desk, "ssh://Nano") == ssh_rig.user
    assert "'root'" in desk.refusal("ssh://root@Nano")
    assert "refused the connection" in desk.refusal("ssh://Nano:1")


def test_known_hosts_files_of_the_configuration(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.known_hosts.rename(desk.home / "my hosts")
    desk.config(f'UserKnownHostsFile ~/others "{desk.home}/my hosts"\n')
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


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
        assert "does not speak SSH with us" in desk.refusal(uri, 10)


def test_a_device_that_falls_silent_in_the_login(desk: Desk, ssh_rig: SshdRig) -> None:
    """Right after its host key has come, when the user's is to be looked at."""
    with FaultProxy(ssh_rig.host, ssh_rig.port) as proxy:
        desk.trust(ssh_rig, f"[127.0.0.1]:{proxy.port}")
        ssh_rig.kill_sessions()
        uri = f"ssh://{ssh_rig.user}@127.0.0.1:{proxy.port}"
        desk.connect(uri).close()
        freezer = threading.Thread(target=lambda: (wait_for_session(ssh_rig), ssh_rig.kill_sessions(signal.SIGSTOP)))
        freezer.start()
        text = desk.refusal(uri, 2)
        freezer.join()
        assert "within 2 s" in text or "did not answer in time" in text
        ssh_rig.kill_sessions(signal.SIGKILL)


def wait_for_session(rig: SshdRig) -> None:
    deadline = time.monotonic() + 10
    while not rig.session_pids() and time.monotonic() < deadline:
        time.sleep(0.001)


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
    assert "does not speak SSH with us" in text and "ssh -v -p" in text


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


# The host's key


def test_an_unknown_host_is_refused_and_nothing_is_added(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.add_known_host(f"elsewhere {ssh_rig.host_key()}")
    before, accepted = desk.known_hosts.read_bytes(), ssh_rig.log().count("publickey")
    for _ in range(2):
        text = desk.refusal(ssh_rig.uri)
        assert f"ssh-ed25519 {ssh_rig.fingerprint()}" in text
    assert desk.known_hosts.read_bytes() == before
    assert ssh_rig.log().count("publickey") == accepted, "our key was offered to a host we do not know"
    desk.add_known_host(text.partition(f"add this line to {desk.known_hosts}: ")[2])
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


def test_a_changed_key_is_refused_until_the_old_one_is_taken_out(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    name = f"[{ssh_rig.host}]:{ssh_rig.port}"
    desk.add_known_host("# my boards")
    desk.add_known_host(f"{name} {gate.host_key()}")
    before, accepted = desk.known_hosts.read_bytes(), ssh_rig.log().count("publickey")
    text = desk.refusal(ssh_rig.uri)
    assert f"expected ssh-ed25519 {gate.fingerprint()} ({desk.known_hosts}:2)" in text
    assert f"got ssh-ed25519 {ssh_rig.fingerprint()}" in text
    assert desk.known_hosts.read_bytes() == before and ssh_rig.log().count("publickey") == accepted
    command = text.partition("take out the old line with: ")[2].partition(" ; ")[0]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert "not known yet" in desk.refusal(ssh_rig.uri)


def test_a_revoked_key_is_refused(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.add_known_host(f"@revoked * {ssh_rig.host_key()}")
    assert f"revoked at {desk.known_hosts}:2" in desk.refusal(ssh_rig.uri)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_host_is_asked_for_the_kind_of_key_that_is_known(desk: Desk, ssh_rig: SshdRig, kind: str) -> None:
    desk.trust(ssh_rig, kind=kind)
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


def test_hashed_known_hosts(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", desk.known_hosts], check=True, capture_output=True)
    assert ssh_rig.host not in desk.known_hosts.read_text()
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


def test_lines_for_certificate_authorities_do_not_matter(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    desk.add_known_host(f"@cert-authority * {gate.host_key()}")
    assert "certificate authority" in desk.refusal(ssh_rig.uri)
    desk.trust(ssh_rig)
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


# Our key


def test_no_key_is_accepted(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    text = desk.refusal(f"ssh://root@{ssh_rig.host}:{ssh_rig.port}")
    assert "lets user 'root' in with none of these keys" in text and str(desk.key) in text
    assert f"ssh-copy-id -p {ssh_rig.port} root@{ssh_rig.host}" in text


def test_no_key_at_all(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.key.unlink()
    text = desk.refusal(ssh_rig.uri)
    assert "there is no key" in text and "ssh-keygen -t ed25519" in text and "ssh-copy-id" in text


def test_keys_that_cannot_be_used_are_named_and_the_next_is_tried(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    locked = desk.install(desk.key, "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", locked], check=True, capture_output=True)
    (desk.ssh / "garbage").write_text("no key")
    config = "".join(f"IdentityFile {desk.ssh / name}\n" for name in ("locked", "garbage", "absent"))
    desk.config(config)
    text = desk.refusal(ssh_rig.uri)
    assert f"{locked} (it has a passphrase; unlock it with: ssh-add {locked})" in text
    assert str(desk.ssh / "garbage") in text and f"{desk.ssh / 'absent'} (there is no such file)" in text
    desk.config(f"{config}IdentityFile {desk.key}\n")
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


@pytest.mark.parametrize("form", ["ecdsa", "rsa", "pem"])
def test_other_forms_of_keys(desk: Desk, ssh_rig: SshdRig, form: str) -> None:
    desk.trust(ssh_rig)
    desk.key.unlink()
    options = ["-t", "rsa", "-m", "PEM"] if form == "pem" else ["-t", form]
    path = desk.ssh / f"id_{options[1]}"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", path], check=True)
    ssh_rig.authorize(path.with_suffix(".pub").read_text())
    try:
        assert whoami(desk, ssh_rig.uri) == ssh_rig.user
    finally:
        ssh_rig.authorize(ssh_rig.client.ssh_public_key)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A running ssh-agent's socket."""
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    yield path
    process.kill()
    process.wait()


def add_to_agent(agent: Path, *keys: Path) -> None:
    subprocess.run(["ssh-add", *keys], env={**os.environ, "SSH_AUTH_SOCK": str(agent)}, check=True, capture_output=True)


def test_keys_of_the_agent(desk: Desk, ssh_rig: SshdRig, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.trust(ssh_rig)
    make_ssh_key(desk.ssh / "other")
    add_to_agent(agent, desk.ssh / "other", desk.key)
    desk.key.unlink()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user
    desk.config("IdentitiesOnly yes\nIdentityFile ~/.ssh/other\n")
    assert "none of these keys" in desk.refusal(ssh_rig.uri)
    desk.config(f"IdentitiesOnly yes\nIdentityFile {desk.key}.pub\n")
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user
    monkeypatch.delenv("SSH_AUTH_SOCK")
    desk.config(f"IdentityAgent {agent}\n")
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user
    desk.config("IdentityAgent none\n")
    assert "there is no key" in desk.refusal(ssh_rig.uri)


def test_too_many_keys(desk: Desk, ssh_rig: SshdRig, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.trust(ssh_rig)
    for number in range(7):
        make_ssh_key(desk.ssh / f"other{number}")
    add_to_agent(agent, *(desk.ssh / f"other{number}" for number in range(7)))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    text = desk.refusal(ssh_rig.uri)
    assert "IdentitiesOnly yes" in text and "SHA256:" in text
    desk.config(f"Host *\n IdentityFile {desk.key}\n IdentitiesOnly yes\n")
    assert whoami(desk, ssh_rig.uri) == ssh_rig.user


def test_an_agent_that_does_not_answer(desk: Desk, ssh_rig: SshdRig, tmp_path: Path) -> None:
    desk.trust(ssh_rig)
    desk.key.unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        desk.config(f"IdentityAgent {tmp_path / 'silent'}\n")
        assert f"the SSH agent at {tmp_path / 'silent'} (timed out)" in desk.refusal(ssh_rig.uri, 1)
    desk.config(f"IdentityAgent {tmp_path / 'absent'}\n")
    assert f"the SSH agent at {tmp_path / 'absent'}" in desk.refusal(ssh_rig.uri)


def test_a_server_that_wants_a_password(desk: Desk, ssh_rig: SshdRig) -> None:
    with SshdRig(ssh_rig.client, ["PubkeyAuthentication no", "PasswordAuthentication yes"]) as strict:
        desk.trust(strict)
        text = desk.refusal(strict.uri)
    assert "accepts only password" in text and "PubkeyAuthentication yes" in text


def test_a_server_that_wants_a_password_too(desk: Desk, ssh_rig: SshdRig) -> None:
    settings = ["PasswordAuthentication yes", "AuthenticationMethods publickey,password"]
    with SshdRig(ssh_rig.client, settings) as strict:
        desk.trust(strict)
        assert "wants password" in desk.refusal(strict.uri)


def test_where_the_subsystem_does_not_work_its_server_is_started_as_a_command(
    desk: Desk, ssh_rig: SshdRig, tmp_path: Path
) -> None:
    with SshdRig(ssh_rig.client, [f"Subsystem sftp {shutil.which('false')}"]) as bare:
        desk.trust(bare)
        transport = desk.connect(bare.uri)
        (tmp_path / "file").write_bytes(b"over a command")
        transport.push(tmp_path / "file", f"{bare.home}/file")
        assert (bare.home / "file").read_bytes() == b"over a command"


def test_a_server_without_sftp(desk: Desk, ssh_rig: SshdRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.devices.ssh.transport._SFTP_SERVER", "exit 127")
    with SshdRig(ssh_rig.client, [f"Subsystem sftp {shutil.which('false')}"]) as bare:
        desk.trust(bare)
        assert "Subsystem sftp internal-sftp" in desk.refusal(bare.uri)

"""Whether a server lets us in: our keys, their files, the SSH agent, and servers that want a password."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.client import make_ssh_key
from tests.rigs.desk import Desk
from tests.rigs.sshd import SshdRig


def test_no_key_is_accepted(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    text = desk.refusal(f"ssh://root@{ssh_rig.host}:{ssh_rig.port}")
    assert "accepts none of these keys for user 'root'" in text and str(desk.key) in text
    assert f"ssh-copy-id -p {ssh_rig.port} root@{ssh_rig.host}" in text


def test_no_key_at_all(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.key.unlink()
    text = desk.refusal(ssh_rig.uri)
    assert "no key to log in" in text and "ssh-keygen -t ed25519" in text and "ssh-copy-id" in text


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
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


@pytest.mark.parametrize("form", ["ecdsa", "rsa", "pem"])
def test_other_forms_of_keys(desk: Desk, ssh_rig: SshdRig, form: str) -> None:
    desk.trust(ssh_rig)
    desk.key.unlink()
    options = ["-t", "rsa", "-m", "PEM"] if form == "pem" else ["-t", form]
    path = desk.ssh / f"id_{options[1]}"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-f", path], check=True)
    ssh_rig.authorize(path.with_suffix(".pub").read_text())
    try:
        assert desk.whoami(ssh_rig.uri) == ssh_rig.user
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
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user
    desk.config("IdentitiesOnly yes\nIdentityFile ~/.ssh/other\n")
    assert "none of these keys" in desk.refusal(ssh_rig.uri)
    desk.config(f"IdentitiesOnly yes\nIdentityFile {desk.key}.pub\n")
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user
    monkeypatch.delenv("SSH_AUTH_SOCK")
    desk.config(f"IdentityAgent {agent}\n")
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user
    desk.config("IdentityAgent none\n")
    assert "no key to log in" in desk.refusal(ssh_rig.uri)


def test_too_many_keys(desk: Desk, ssh_rig: SshdRig, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.trust(ssh_rig)
    for number in range(7):
        make_ssh_key(desk.ssh / f"other{number}")
    add_to_agent(agent, *(desk.ssh / f"other{number}" for number in range(7)))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    text = desk.refusal(ssh_rig.uri)
    assert "IdentitiesOnly yes" in text and "SHA256:" in text
    desk.config(f"Host *\n IdentityFile {desk.key}\n IdentitiesOnly yes\n")
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


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
        assert "requires password" in desk.refusal(strict.uri)

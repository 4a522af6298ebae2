"""Whether a host is the one we know: real servers with real keys, and our known_hosts."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from tests.rigs.desk import Desk
from tests.rigs.sshd import SshdRig


def test_an_unknown_host_is_refused_and_nothing_is_added(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.add_known_host(f"elsewhere {ssh_rig.host_key()}")
    before, accepted = desk.known_hosts.read_bytes(), ssh_rig.log().count("publickey")
    for _ in range(2):
        text = desk.refusal(ssh_rig.uri)
        assert f"ssh-ed25519 {ssh_rig.fingerprint()}" in text
    assert desk.known_hosts.read_bytes() == before
    assert ssh_rig.log().count("publickey") == accepted, "our key was offered to a host we do not know"
    desk.add_known_host(text.partition(f"add this line to {desk.known_hosts}: ")[2])
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


def test_a_changed_key_is_refused_until_the_old_one_is_taken_out(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    name = f"[{ssh_rig.host}]:{ssh_rig.port}"
    desk.add_known_host("# my boards")
    desk.add_known_host(f"{name} {gate.host_key()}")
    before, accepted = desk.known_hosts.read_bytes(), ssh_rig.log().count("publickey")
    text = desk.refusal(ssh_rig.uri)
    assert f"expected ssh-ed25519 {gate.fingerprint()} ({desk.known_hosts}:2)" in text
    assert f"got ssh-ed25519 {ssh_rig.fingerprint()}" in text
    assert desk.known_hosts.read_bytes() == before and ssh_rig.log().count("publickey") == accepted
    command = text.partition("remove the old line with: ")[2].partition(" ; ")[0]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert "not known yet" in desk.refusal(ssh_rig.uri)


def test_a_revoked_key_is_refused(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    desk.add_known_host(f"@revoked * {ssh_rig.host_key()}")
    assert f"revoked at {desk.known_hosts}:2" in desk.refusal(ssh_rig.uri)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_host_is_asked_for_the_kind_of_key_that_is_known(desk: Desk, ssh_rig: SshdRig, kind: str) -> None:
    desk.trust(ssh_rig, kind=kind)
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


def test_hashed_known_hosts(desk: Desk, ssh_rig: SshdRig) -> None:
    desk.trust(ssh_rig)
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", desk.known_hosts], check=True, capture_output=True)
    assert ssh_rig.host not in desk.known_hosts.read_text()
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user


def test_lines_for_certificate_authorities_do_not_matter(desk: Desk, ssh_rig: SshdRig, gate: SshdRig) -> None:
    desk.add_known_host(f"@cert-authority * {gate.host_key()}")
    assert "certificate authority" in desk.refusal(ssh_rig.uri)
    desk.trust(ssh_rig)
    assert desk.whoami(ssh_rig.uri) == ssh_rig.user

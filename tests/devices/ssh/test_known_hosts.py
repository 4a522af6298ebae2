from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from edgewright.devices.ssh.known_hosts import HostKey, KnownHosts
from edgewright.errors import DeviceError, InputError

OURS = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + b"a" * 36)
OTHER = HostKey("ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + b"b" * 36)
RSA = HostKey("ssh-rsa", b"\0\0\0\x07ssh-rsa" + b"c" * 300)


def known(tmp_path: Path, *lines: str) -> KnownHosts:
    (tmp_path / "known_hosts").write_text("".join(f"{line}\n" for line in lines))
    return KnownHosts([tmp_path / "known_hosts"])


def refusal(hosts: KnownHosts, name: str, key: HostKey = OURS) -> str:
    with pytest.raises(DeviceError) as caught:
        hosts.check(name, key)
    return str(caught.value)


@pytest.mark.parametrize(
    ("patterns", "name"),
    [
        ("board", "board"),
        ("other,board,third", "board"),
        ("Board", "bOARD"),
        ("[board]:2222", "[board]:2222"),
        ("[board]:*", "[board]:2222"),
        ("board", "[board]:2222"),
        ("192.168.1.?", "192.168.1.7"),
        ("*.lab,!gpu.lab", "nano.lab"),
        ("fe80::1", "fe80::1"),
    ],
)
def test_a_host_is_known_by_each_of_its_patterns(tmp_path: Path, patterns: str, name: str) -> None:
    known(tmp_path, f"{patterns} {OURS.line} a comment").check(name, OURS)


@pytest.mark.parametrize(
    ("patterns", "name"),
    [
        ("board", "boards"),
        ("board.lab", "board-lab"),
        ("[board]:2222", "board"),
        ("[board]:2222", "[board]:2223"),
        ("*.lab,!gpu.lab", "gpu.lab"),
        ("!gpu.lab,*.lab", "gpu.lab"),
        ("!board", "other"),
        ("[ab]oard", "board"),
    ],
)
def test_a_host_is_not_known_by_others_patterns(tmp_path: Path, patterns: str, name: str) -> None:
    assert "not known yet" in refusal(known(tmp_path, f"{patterns} {OURS.line}"), name)


@pytest.mark.parametrize("name", ["board.lab", "[board.lab]:2222", "[fe80::1]:22022"])
def test_hashed_names(tmp_path: Path, name: str) -> None:
    """As ssh-keygen writes them itself."""
    (tmp_path / "known_hosts").write_text(f"{name} {real_key(tmp_path).line}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", tmp_path / "known_hosts"], check=True, capture_output=True)
    assert name not in (tmp_path / "known_hosts").read_text()
    hosts = KnownHosts([tmp_path / "known_hosts"])
    hosts.check(name, real_key(tmp_path))
    assert "not known yet" in refusal(hosts, "elsewhere", real_key(tmp_path))


def real_key(tmp_path: Path) -> HostKey:
    if not (tmp_path / "key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    kind, blob = (tmp_path / "key.pub").read_text().split()[:2]
    return HostKey(kind, base64.b64decode(blob))


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    key = real_key(tmp_path)
    printed = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], check=True, capture_output=True, text=True)
    assert key.fingerprint == printed.stdout.split()[1]


def test_an_unknown_key_comes_with_the_line_that_makes_it_known(tmp_path: Path) -> None:
    text = refusal(known(tmp_path), "[board]:2222")
    assert OURS.fingerprint in text and str(tmp_path / "known_hosts") in text
    line = text.partition(f"add this line to {tmp_path / 'known_hosts'}: ")[2]
    known(tmp_path, line).check("[board]:2222", OURS)
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in text


def test_a_changed_key_names_both_keys_and_the_line(tmp_path: Path) -> None:
    text = refusal(known(tmp_path, "# mine", f"a,[board]:2222 {OTHER.line}"), "[board]:2222")
    assert f"expected ssh-ed25519 {OTHER.fingerprint} ({tmp_path / 'known_hosts'}:2)" in text
    assert f"got ssh-ed25519 {OURS.fingerprint}" in text
    assert f"ssh-keygen -R '[board]:2222' -f {tmp_path / 'known_hosts'}" in text
    assert "only if" in text and OURS.line not in text, "trusting the new key is no matter of pasting a line"


def test_a_key_of_another_kind_than_the_known_one_has_changed_too(tmp_path: Path) -> None:
    text = refusal(known(tmp_path, f"board {RSA.line}"), "board")
    assert f"expected ssh-rsa {RSA.fingerprint}" in text and f"got ssh-ed25519 {OURS.fingerprint}" in text


def test_one_of_several_keys_of_a_host_is_enough(tmp_path: Path) -> None:
    hosts = known(tmp_path, f"board {RSA.line}", f"board {OTHER.line}", f"board {OURS.line}")
    hosts.check("board", OURS)
    assert hosts.kinds("board") == ("ssh-rsa", "ssh-ed25519")


def test_a_port_of_its_own_comes_before_the_bare_host(tmp_path: Path) -> None:
    hosts = known(tmp_path, f"board {OURS.line}", f"[board]:2222 {OTHER.line}")
    assert "has changed" in refusal(hosts, "[board]:2222")
    hosts.check("[board]:2223", OURS)
    assert hosts.kinds("[board]:2223") == ("ssh-ed25519",)
    assert "not known yet" in refusal(hosts, "[board]:2223", RSA), "another server may well listen on another port"


def test_a_revoked_key_is_refused_even_where_it_is_known(tmp_path: Path) -> None:
    hosts = known(tmp_path, f"board {OURS.line}", f"@revoked * {OURS.line}")
    text = refusal(hosts, "board")
    assert "revoked" in text and f"{tmp_path / 'known_hosts'}:2" in text and OURS.line not in text
    assert "revoked" in refusal(known(tmp_path, f"@revoked board {OURS.line}"), "[board]:2222")
    known(tmp_path, f"board {OURS.line}", f"@revoked other {OURS.line}").check("board", OURS)
    known(tmp_path, f"board {OURS.line}", f"@revoked * {OTHER.line}").check("board", OURS)


def test_lines_that_cannot_be_used_do_not_hide_the_others(tmp_path: Path) -> None:
    bad = [
        "", "# board ssh-ed25519 AAAA", "board", "board ssh-ed25519", "board ssh-ed25519 ???",
        "|1|x|y ssh-ed25519 AAAA", "|1|x ssh-ed25519 AAAA", "|1|AAAA|é ssh-ed25519 AAAA",
        f"@cert-authority * {OTHER.line}", f"@new-marker board {OTHER.line}", "board 2048 65537 123456789", "@revoked",
    ]  # fmt: skip
    known(tmp_path, *bad, f"  board\t{OURS.line}  ").check("board", OURS)
    text = refusal(known(tmp_path, *bad), "board")
    assert "not known yet" in text and f"certificate authority at {tmp_path / 'known_hosts'}:9 is not used" in text


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_bytes(b"caf\xe9 ssh-ed25519 AAAA\n" + f"board {OURS.line}\r\n".encode())
    KnownHosts([tmp_path / "known_hosts"]).check("board", OURS)


def test_several_files(tmp_path: Path) -> None:
    (tmp_path / "system").write_text(f"board {OURS.line}\n")
    hosts = KnownHosts([tmp_path / "absent", tmp_path / "system"])
    hosts.check("board", OURS)
    assert f"to {tmp_path / 'absent'}:" in refusal(hosts, "other"), "new lines go to the user's own file"


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known hosts"):
        KnownHosts([tmp_path])

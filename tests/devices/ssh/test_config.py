from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from edgewright.devices.registry import Address
from edgewright.devices.ssh.config import SshTarget, resolve
from edgewright.errors import InputError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


def target(home: Path, config: str, host: str = "board", user: str | None = None, port: int | None = None) -> SshTarget:
    (home / ".ssh" / "config").write_text(config)
    return resolve(Address("ssh", host=host, user=user, port=port))


def test_without_a_configuration(home: Path) -> None:
    (home / ".ssh" / "id_rsa").touch()
    found = resolve(Address("ssh", host="board"))
    assert (found.host, found.port, found.user) == ("board", 22, getpass.getuser())
    assert found.identity_files == (home / ".ssh/id_rsa",) and not found.identities_only
    assert found.known_hosts_files == (home / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts"))
    assert found.identity_agent is found.host_key_alias is found.proxy_command is found.connect_timeout_s is None
    assert found.proxy_jump == () and found.key_name == "board" and found.where == "board:22"


def test_everything_a_host_entry_says(home: Path) -> None:
    config = """
    Host board
        HostName 192.168.1.7
        User jet
        Port 2222
        IdentityFile ~/.ssh/nano key
        IdentityFile "%d/second"
        IdentitiesOnly yes
        IdentityAgent ~/agent.sock
        UserKnownHostsFile ~/hosts /other/hosts
        GlobalKnownHostsFile /dev/null
        HostKeyAlias nano
        ConnectTimeout 7
    Host *
        User nobody
    """
    found = target(home, config)
    assert (found.host, found.port, found.user) == ("192.168.1.7", 2222, "jet")
    assert found.identity_files == (home / ".ssh/nano key", home / "second") and found.identities_only
    assert found.identity_agent == home / "agent.sock"
    assert found.known_hosts_files == (home / "hosts", Path("/other/hosts"), Path("/dev/null"))
    assert found.key_name == "nano" and found.connect_timeout_s == 7 and found.where == "board (192.168.1.7:2222)"
    assert found.login == ["-p", "2222", "jet@board"]


def test_what_the_uri_says_comes_first(home: Path) -> None:
    config = "Host board\n User jet\n Port 2222\nMatch user ada\n HostName ada.lab\n"
    assert (target(home, config).user, target(home, config).port) == ("jet", 2222)
    found = target(home, config, user="ada", port=23)
    assert (found.user, found.port, found.host) == ("ada", 23, "ada.lab")


def test_aliases_tell_upper_and_lower_case_apart(home: Path) -> None:
    assert target(home, "Host Board\n HostName 10.0.0.1\n", "Board").host == "10.0.0.1"


@pytest.mark.parametrize(("port", "name"), [(22, "fe80::1"), (2222, "[fe80::1]:2222")])
def test_the_name_in_known_hosts(home: Path, port: int, name: str) -> None:
    found = target(home, "", "fe80::1", port=port)
    assert found.key_name == name and found.where == f"[fe80::1]:{port}"


@pytest.mark.parametrize(
    ("line", "jump"),
    [
        ("ProxyJump gate", [Address("ssh", "gate")]),
        ("ProxyJump ada@gate:2200", [Address("ssh", "gate", "ada", 2200)]),
        ("ProxyJump ssh://ada@gate:2200", [Address("ssh", "gate", "ada", 2200)]),
        ("ProxyJump ada@[fe80::1]:2200", [Address("ssh", "fe80::1", "ada", 2200)]),
        ("ProxyJump a,b@c , d:5", [Address("ssh", "a"), Address("ssh", "c", "b"), Address("ssh", "d", port=5)]),
        ("ProxyJump none", []),
        ("ProxyCommand nc %h %p\n ProxyJump none", []),
    ],
)
def test_jump_hosts(home: Path, line: str, jump: list[Address]) -> None:
    assert list(target(home, f"Host board\n {line}\n").proxy_jump) == jump


def test_proxy_commands(home: Path) -> None:
    command = target(home, "ProxyCommand nc -X 5 %h %p # %r\n", user="jet", port=5).proxy_command
    assert command == "nc -X 5 board 5 # jet"
    assert target(home, "Host board\n ProxyCommand none\nHost *\n ProxyCommand nc %h %p\n").proxy_command is None


@pytest.mark.parametrize("black_hole", ["/dev/null", "none"])
def test_a_black_hole_for_known_hosts_is_not_used(home: Path, black_hole: str) -> None:
    """Such entries come with `StrictHostKeyChecking no`; here a key that is not known is refused all the same."""
    found = target(home, f"Host *\n UserKnownHostsFile {black_hole}\n StrictHostKeyChecking no\n")
    assert found.known_hosts_files[0] == home / ".ssh/known_hosts"


@pytest.mark.parametrize(
    ("line", "path"),
    [("", "/run/a.sock"), ("IdentityAgent none", None), ("IdentityAgent SSH_AUTH_SOCK", "/run/a.sock"),
     ("IdentityAgent $OTHER_SOCK", "/run/b.sock"), ("IdentityAgent $NOWHERE_SOCK", None)],
)  # fmt: skip
def test_agents(home: Path, monkeypatch: pytest.MonkeyPatch, line: str, path: str | None) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/a.sock")
    monkeypatch.setenv("OTHER_SOCK", "/run/b.sock")
    assert target(home, line + "\n").identity_agent == (None if path is None else Path(path))


def test_no_identity_file_at_all(home: Path) -> None:
    (home / ".ssh" / "id_ed25519").touch()
    assert target(home, "IdentityFile none\n").identity_files == ()


def test_included_files(home: Path) -> None:
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "10-lab").write_text("Host board\n HostName lab.board\n")
    (home / ".ssh" / "conf.d" / "20-other").write_text("Host other\n User wrong\n")
    (home / "elsewhere").write_text("Port 2222\n")
    config = "Include conf.d/* missing\nUser jet\nHost board\n  include=~/elsewhere\n  HostName late\n"
    found = target(home, config)
    assert (found.host, found.user, found.port) == ("lab.board", "jet", 2222)
    assert target(home, config, "third").port == 22, "an Include in a block counts for that block"


@pytest.mark.parametrize(
    "config",
    ["Port x", "Port 0", "Port 70000", "ConnectTimeout soon", "ConnectTimeout 0", "ProxyJump a b", "ProxyJump a:x",
     "ProxyJump -oProxyCommand=x", "Host", "Include config", "Include 'x", "Match nonsense"],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_an_input_error(home: Path, config: str) -> None:
    with pytest.raises(InputError, match=r"\.ssh/config"):
        target(home, config + "\n")


def test_a_configuration_that_cannot_be_read_is_an_input_error(home: Path) -> None:
    (home / ".ssh" / "config").mkdir()
    with pytest.raises(InputError, match=r"\.ssh/config"):
        resolve(Address("ssh", host="board"))

"""A person's home at the desktop for one test, and how they connect from there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edgewright.devices.registry import parse_uri
from edgewright.devices.ssh.transport import SshTransport, connect_ssh
from edgewright.errors import DeviceError

from tests.rigs.sshd import SshdRig


class Desk:
    """`~/.ssh` with the key that the rigs let in; knows no host until it is told."""

    def __init__(self, home: Path, key: Path) -> None:
        self.home, self.ssh = home, home / ".ssh"
        self.ssh.mkdir(parents=True)
        self.known_hosts = self.ssh / "known_hosts"
        self.key = self.install(key, "id_ed25519")
        self._opened: list[SshTransport] = []

    def install(self, key: Path, name: str) -> Path:
        for source, target in ((key, self.ssh / name), (key.with_suffix(".pub"), self.ssh / f"{name}.pub")):
            target.write_bytes(source.read_bytes())
            target.chmod(0o600)
        return self.ssh / name

    def config(self, text: str) -> None:
        (self.ssh / "config").write_text(text)

    def trust(self, rig: SshdRig, name: str | None = None, kind: str = "ed25519") -> None:
        self.add_known_host(f"{name or f'[{rig.host}]:{rig.port}'} {rig.host_key(kind)}")

    def add_known_host(self, line: str) -> None:
        with open(self.known_hosts, "a") as file:
            file.write(line + "\n")

    def connect(self, uri: str, timeout_s: float = 15.0) -> SshTransport:
        self._opened.append(connect_ssh(parse_uri(uri), "nano", timeout_s))
        return self._opened[-1]

    def refusal(self, uri: str, timeout_s: float = 15.0) -> str:
        """What it says when it does not connect."""
        with pytest.raises(DeviceError) as caught:
            self.connect(uri, timeout_s)
        assert str(caught.value).startswith("device 'nano': ")
        return str(caught.value)

    def whoami(self, uri: str) -> str:
        """The user that a command there runs as."""
        return self.connect(uri).run(["id", "-un"], 30).stdout.decode().strip()

    def close(self) -> None:
        for transport in self._opened:
            transport.close()


@contextmanager
def at_a_desk(home: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """This process lives there meanwhile, and leaves no thread behind."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    before = set(threading.enumerate())
    desk = Desk(home, key)
    try:
        yield desk
    finally:
        desk.close()
    left = [thread.name for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert left == [], "threads stay behind"

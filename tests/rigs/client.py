"""Where rigs keep their things, and the one private home that the host side of every rig of a session uses.

The rigs serve the tests and `benchmarks/devices.py`.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO


class RigUnavailable(Exception):
    """This machine cannot carry a rig: what is missing, and what would bring it."""

    def __init__(self, missing: str, remedy: str) -> None:
        super().__init__(f"{missing}; to run these tests: {remedy}")


def rig_root() -> Path:
    """The folder of everything that rigs build once and keep; `EDGEWRIGHT_RIGS` moves it."""
    root = Path(os.environ.get("EDGEWRIGHT_RIGS") or f"/var/tmp/edgewright-rigs-{os.getuid()}")
    root.mkdir(mode=0o755, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise RigUnavailable(f"{root} belongs to somebody else", "set EDGEWRIGHT_RIGS to a folder of your own")
    return root


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, outside the range that outgoing connections take theirs from.

    So a rig finds it free again after its restart.
    """
    while True:
        port = random.randrange(20000, 32000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def tool(name: str, package: str) -> str:
    """Path of a system program. Raises `RigUnavailable` naming its package."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise RigUnavailable(f"there is no {name} on this machine", f"apt-get install {package}")
    return path


def run_checked(argv: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command of a rig to its end and return its stdout; a failure carries what the command said."""
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr + done.stdout)[-4000:]
        raise RuntimeError(f"{' '.join(argv)[:500]} ended with code {done.returncode}: {said}")
    return done.stdout


class SessionFolder:
    """A folder below `rig_root()` that belongs to this session; what killed sessions left is removed first."""

    def __init__(self) -> None:
        parent = rig_root() / "sessions"
        parent.mkdir(exist_ok=True)
        with open(parent / ".lock", "w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            for old in parent.glob("session-*"):
                _remove_if_dead(old)
            self.path = Path(tempfile.mkdtemp(prefix=f"session-{os.getpid()}-", dir=parent))
            self.path.chmod(0o755)  # the users of the rigs pass through
            self._lock: IO[str] = open(self.path / ".lock", "w")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _remove_if_dead(folder: Path) -> None:
    """Remove the folder of a session that no longer holds its lock."""
    with open(folder / ".lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    shutil.rmtree(folder, ignore_errors=True)


class ClientHome:
    """What a person at the desktop has: a home with SSH and ADB keys, known hosts, and an ADB server of their own.

    `env` is what makes a program use it. OpenSSH's client reads the home of the passwd file instead of `$HOME`:
    start it with `ssh_options`.
    """

    def __init__(self) -> None:
        self.session = SessionFolder()
        self.home = self.session.path / "home"
        self.known_hosts = self.home / ".ssh" / "known_hosts"
        self.ssh_config = self.home / ".ssh" / "config"
        self.adb_port = free_port()
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        (self.home / ".android").mkdir(mode=0o700)
        self.home.chmod(0o700)
        self.known_hosts.touch(mode=0o600)
        self.ssh_config.touch(mode=0o600)

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "ANDROID_ADB_SERVER_PORT": str(self.adb_port)}

    @property
    def process_env(self) -> dict[str, str]:
        """This process's environment with `env` in it, for programs that a test starts."""
        left_out = ("SSH_AUTH_SOCK", "ADB_VENDOR_KEYS", "ANDROID_SERIAL")
        return {**{key: value for key, value in os.environ.items() if key not in left_out}, **self.env}

    def add_known_host(self, line: str) -> None:
        """Trust a host: `line` as in known_hosts, e.g. `[127.0.0.1]:2201 ssh-ed25519 AAAA...`."""
        with open(self.known_hosts, "a") as known:
            known.write(line.strip() + "\n")

    @cached_property
    def ssh_key(self) -> Path:
        """The private key, `~/.ssh/id_ed25519`; made at first use."""
        path = self.home / ".ssh" / "id_ed25519"
        make_ssh_key(path)
        return path

    @property
    def ssh_public_key(self) -> str:
        return self.ssh_key.with_suffix(".pub").read_text().strip()

    @property
    def ssh_options(self) -> list[str]:
        """Arguments that make `ssh`, `scp` and `sftp` use this home and nothing else."""
        settings = {
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "IdentityFile": self.ssh_key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        return ["-F", "none", *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]

    @cached_property
    def adb_program(self) -> str:
        """The `adb` that adbutils carries: what a person without one of their own uses."""
        import adbutils

        return str(Path(adbutils.__file__).parent / "binaries" / "adb")

    @cached_property
    def adb_public_key(self) -> str:
        """The public half of `~/.android/adbkey`; made at first use."""
        path = self.home / ".android" / "adbkey"
        run_checked([self.adb_program, "keygen", str(path)], env=self.process_env)
        return path.with_suffix(".pub").read_text().strip()

    def close(self) -> None:
        self.session.close()

    def __enter__(self) -> ClientHome:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def make_ssh_key(path: Path) -> None:
    """An ed25519 key pair without a passphrase: `path` and `path`.pub."""
    keygen = tool("ssh-keygen", "openssh-client")
    run_checked([keygen, "-q", "-t", "ed25519", "-N", "", "-C", "edgewright-rig", "-f", str(path)])

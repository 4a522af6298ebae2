"""A device behind a real sshd on 127.0.0.1, with a Python of its own that has numpy and LiteRT.

When the tests run as root its user is a system user made for it, so that nothing of root's is reachable from there.
Otherwise it is whoever runs the tests: sshd may log in nobody else then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.rigs.client import ClientHome, RigUnavailable, free_port, rig_root, run_checked, tool

_PYTHON = Path("/usr/bin/python3.11")  # outside of anybody's home: the device's user may start it
_CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
_REQUIREMENTS = ("numpy", "ai-edge-litert")
_KEY_TYPES = ("ed25519", "ecdsa", "rsa")
_SEATS = 16


class SshdRig:
    """Started when made. Every rig has a user, a home, a port and host keys of its own, and keeps them in a restart.

    `settings` are lines of sshd_config that go before the rig's own. With `disk_mib` (only as root) the device's home
    is a disk of that size, which is empty after a restart and is not seen from outside. `shell` (only as root) is the
    user's login shell.
    """

    def __init__(
        self,
        client: ClientHome,
        settings: Sequence[str] = (),
        disk_mib: int | None = None,
        shell: str = "/bin/sh",
    ) -> None:
        self.client = client
        self.host = "127.0.0.1"
        self.port = free_port()
        self._sshd = tool("sshd", "openssh-server")
        self._seat = _take_seat(shell) if os.getuid() == 0 else _own_seat(shell)
        self.user, self.home = self._seat.user, self._seat.home
        self._disk_mib = disk_mib
        runtime = python_with_runtime()
        self._folder = client.session.path / f"sshd-{self.port}"
        self._folder.mkdir()
        self._listener: subprocess.Popen[bytes] | None = None
        for kind in _KEY_TYPES:
            run_checked([tool("ssh-keygen", "openssh-client"), "-q", "-t", kind, "-N", "", "-f", str(self._key(kind))])
        (self._folder / "authorized_keys").write_text(client.ssh_public_key + "\n")
        (self._folder / "sshd_config").write_text(self._config(runtime, settings))
        self.trust(client)
        self._start()

    @property
    def uri(self) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        return self.client.env

    def host_key(self, kind: str = "ed25519") -> str:
        """`ssh-ed25519 AAAA...`, or of the `ecdsa` or `rsa` key."""
        return " ".join(self._key(kind).with_suffix(".pub").read_text().split()[:2])

    def fingerprint(self, kind: str = "ed25519") -> str:
        return run_checked(["ssh-keygen", "-lf", str(self._key(kind))]).split()[1]

    def trust(self, client: ClientHome, kind: str = "ed25519") -> None:
        client.add_known_host(f"[{self.host}]:{self.port} {self.host_key(kind)}")

    def authorize(self, *public_keys: str) -> None:
        """Let in these keys and no others."""
        (self._folder / "authorized_keys").write_text("".join(f"{key}\n" for key in public_keys))

    def session_pids(self) -> list[int]:
        """The sshd processes of the sessions that are open now, without the commands that run in them."""
        if self._listener is None:
            return []
        below = _descendants(self._listener.pid)
        return [pid for pid in below if _is_running(pid) and _command(pid).startswith("sshd")]

    def kill_sessions(self, sent: signal.Signals = signal.SIGKILL) -> None:
        for pid in self.session_pids():
            _kill(pid, sent)

    def processes(self) -> dict[int, list[str]]:
        """Everything that runs on the device: pid and argument list, sshd's own left out."""
        below = set(_descendants(self._listener.pid)) if self._listener else set()
        found = _pids_of(self._seat.uid) if self._seat.is_its_own_user else sorted(below)
        return {pid: argv for pid in found if (argv := _argv(pid)) and not _command(pid).startswith("sshd")}

    def log(self) -> str:
        """What the server has written since the rig was made."""
        return (self._folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """End the server, its sessions and all that runs in them; may be called again, and `restart` after it."""
        if self._listener is None:
            return
        self._listener.send_signal(signal.SIGSTOP)  # so that it starts no session that is not seen here
        pids = [*_descendants(self._listener.pid), *self.processes()]
        self._listener.kill()
        self._listener.wait()
        self._listener = None
        for pid in pids:
            _kill(pid, signal.SIGKILL)
        _wait_until(lambda: not any(_is_running(pid) for pid in pids), 10, "the sessions to end")

    def restart(self) -> None:
        self.stop()
        self._start()

    def close(self) -> None:
        """Stop, and leave the user to the next rig."""
        self.stop()
        self._seat.release()

    def __enter__(self) -> SshdRig:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _key(self, kind: str) -> Path:
        return self._folder / f"host_{kind}"

    def _start(self) -> None:
        config = ["-f", str(self._folder / "sshd_config")]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        run_checked([self._sshd, "-t", *config])
        argv = [*self._frame(), self._sshd, "-D", "-E", str(self._folder / "log"), *config, *self._leniency(config)]
        with open(self._folder / "log", "ab") as log:
            self._listener = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _wait_until(self._answers, 10, "sshd to listen")

    def _frame(self) -> list[str]:
        """What ends the server with the test session, however that ends, and gives it a disk where one is asked for."""
        mortal = [tool("setpriv", "util-linux"), "--pdeathsig", "KILL", "--"]
        if self._disk_mib is None:
            return mortal
        options = f"size={self._disk_mib}m,mode=700,uid={self._seat.uid}"
        script = 'mount -t tmpfs -o "$1" disk "$2"; shift 2; exec "$@"'
        return [*mortal, tool("unshare", "util-linux"), "-m", "sh", "-euc", script, "sh", options, str(self.home)]

    def _answers(self) -> bool:
        if self._listener is None or self._listener.poll() is not None:
            raise RuntimeError(f"sshd does not start: {self.log()[-3000:]}")
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _leniency(self, config: list[str]) -> list[str]:
        """Since OpenSSH 9.8 a server shuts out who fails to log in, as tests do on purpose."""
        option = ["-o", "PerSourcePenalties=no"]
        known = subprocess.run([self._sshd, "-t", *config, *option], capture_output=True, check=False).returncode == 0
        return option if known else []

    def _config(self, runtime: Path, settings: Sequence[str]) -> str:
        keys = [f"HostKey {self._key(kind)}" for kind in _KEY_TYPES]
        lines = [
            *settings,  # first: the first value of a setting counts
            f"Port {self.port}",
            f"ListenAddress {self.host}",
            *keys,
            f"PidFile {self._folder / 'pid'}",
            f"AuthorizedKeysFile {self._folder / 'authorized_keys'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin no",
            f"AllowUsers {self.user}",
            "MaxStartups 100",
            "PrintMotd no",
            f"SetEnv PATH={runtime / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        ]
        if not any(line.startswith("Subsystem ") for line in settings):  # the one setting that may not be there twice
            lines.append("Subsystem sftp internal-sftp")
        return "\n".join(lines) + "\n"


class _Seat:
    """A user to log in as, held until it is released or this process ends."""

    def __init__(self, user: str, lock: int | None) -> None:
        entry = pwd.getpwnam(user)
        self.user, self.uid, self.home = user, entry.pw_uid, Path(entry.pw_dir)
        self.is_its_own_user = lock is not None
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _take_seat(shell: str) -> _Seat:
    """The first of ew-rig, ew-rig-2, ... that no other rig on this machine has, with an empty home."""
    locks = Path("/run/edgewright-rigs")
    locks.mkdir(mode=0o755, exist_ok=True)
    for number in range(1, _SEATS + 1):
        user = "ew-rig" if number == 1 else f"ew-rig-{number}"
        lock = os.open(locks / user, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        _prepare_user(user, rig_root() / "homes" / user, shell)
        return _Seat(user, lock)
    raise RuntimeError(f"all {_SEATS} users for sshd rigs are taken")


def _prepare_user(user: str, home: Path, shell: str) -> None:
    home.parent.mkdir(exist_ok=True)
    with _exclusively(home.parent / ".lock"):  # useradd allows one at a time
        if user not in (entry.pw_name for entry in pwd.getpwall()):
            # No password is '*', not '!': sshd lets nobody into a locked account.
            options = ["--system", "-M", "-N", "-g", "nogroup", "-s", "/bin/sh", "-p", "*", "-d", str(home)]
            run_checked([tool("useradd", "passwd"), *options, user])
    entry = pwd.getpwnam(user)
    for pid in _pids_of(entry.pw_uid):  # what a killed session left running
        _kill(pid, signal.SIGKILL)
    if (Path(entry.pw_dir), entry.pw_shell) != (home, shell):
        run_checked([tool("usermod", "passwd"), "-d", str(home), "-s", shell, user])
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    os.chown(home, entry.pw_uid, entry.pw_gid)


def _own_seat(shell: str) -> _Seat:
    """Whoever runs the tests, with their real home: never where it holds an agent that is not a rig's."""
    if shell != "/bin/sh":
        raise RigUnavailable(f"a login shell {shell} is given to a user of the rig's own", "run the tests as root")
    seat = _Seat(pwd.getpwuid(os.getuid()).pw_name, None)
    agent, ours = seat.home / ".edgewright", rig_root() / "home-was-free"
    if agent.exists() and not ours.exists():
        raise RigUnavailable(f"{agent} exists, and an sshd rig would use it", "run them as root, or move it away")
    ours.touch()
    shutil.rmtree(agent, ignore_errors=True)
    return seat


def python_with_runtime() -> Path:
    """A virtual environment with numpy and LiteRT that any user may start; made once per set of versions."""
    if not _PYTHON.exists():
        raise RigUnavailable(f"there is no {_PYTHON} on this machine", "apt-get install python3.11-venv")
    wanted = [line for line in _CONSTRAINTS.read_text().splitlines() if line.split("==")[0] in _REQUIREMENTS]
    key = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:12]
    folder = rig_root() / f"python-{key}"
    with _exclusively(rig_root() / ".python-lock"):
        if not (folder / "ready").exists():
            _make_environment(folder, wanted)
    return folder


def _make_environment(folder: Path, requirements: list[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    run_checked([str(_PYTHON), "-m", "venv", str(folder)])
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_checked([*pip, "--constraint", str(_CONSTRAINTS), *requirements])
    (folder / "ready").touch()


@contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _wait_until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.02)


def _kill(pid: int, sent: signal.Signals) -> None:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        pass  # it ended by itself


def _descendants(pid: int) -> list[int]:
    children = [child for child in _pids() if _parent(child) == pid]
    return [found for child in children for found in (child, *_descendants(child))]


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _pids_of(uid: int) -> list[int]:
    return [pid for pid in _pids() if _read(f"/proc/{pid}/status").partition("Uid:\t")[2].split("\t")[0] == str(uid)]


def _parent(pid: int) -> int:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _is_running(pid: int) -> bool:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(fields) and fields[0] not in "ZX"


def _command(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").strip()


def _argv(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")


def _read(path: str) -> str:
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _main() -> None:
    """`python -m tests.rigs.sshd`: a rig to try things on by hand, until Ctrl-C."""
    with ClientHome() as client, SshdRig(client) as rig:
        print(rig.uri, *(f"{name}={value}" for name, value in rig.env.items()), sep="\n", file=sys.stderr)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    _main()

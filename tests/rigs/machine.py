"""A device's file tree, brought up in namespaces of its own: it sees only its processes and dies as a whole.

Two layers, because a device's storage survives its restart: the storage namespace lives as long as the rig and holds
the mounts of limited size; every boot starts below it with fresh mounts and a fresh process namespace.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from tests.rigs.client import tool

Found = TypeVar("Found")
_QEMU = "/usr/libexec/qemu-binfmt/"

Result = TypeVar("Result")


@dataclass(frozen=True)
class DeviceProcess:
    """A process of a device: `pid` and `parent` as this machine counts them, `device_pid` as the device does."""

    pid: int
    device_pid: int
    parent: int
    uid: int
    state: str
    argv: tuple[str, ...]


class Machine:
    """The tree `root` and the processes in it. `storage` is the folder (absolute, on the device) users write to."""

    def __init__(self, root: Path, storage: str, owner: int, disk_mib: int | None, log: Path) -> None:
        self.root, self.storage = root, storage
        self._disk_mib, self._log_path = disk_mib, log
        self._log: IO[bytes] = open(log, "ab")
        self._boot: subprocess.Popen[bytes] | None = None
        mount = "mkdir -p $ROOT$STORAGE; "
        if disk_mib is not None:
            mount += f"mount -t tmpfs -o size={disk_mib}m,mode=771,uid={owner},gid={owner} storage $ROOT$STORAGE; "
        hold = [*_mortal(), tool("unshare", "util-linux"), "-m", "sh", "-euc", mount + "echo up; exec sleep infinity"]
        self._holder = subprocess.Popen(hold, stdout=subprocess.PIPE, stderr=self._log, env=self._env({}))
        if self._holder.stdout is None or self._holder.stdout.readline() != b"up\n":
            self.close()
            raise RuntimeError(f"cannot make the storage of a rig: {self.log_tail()}")

    def boot(self, script: str, env: Mapping[str, str]) -> None:
        """Run `script` (for this machine's sh, as root; $ROOT is the tree) as the device's first process."""
        if self.is_up:
            raise RuntimeError("this device is up already")
        below = [tool("nsenter", "util-linux"), f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wd={self.root}"]
        alone = [tool("unshare", "util-linux"), "-m", "-p", "-f", "--kill-child"]
        self._boot = subprocess.Popen(
            [*_mortal(), *below, *alone, "sh", "-euc", script],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=self._env(env),
        )

    def halt(self) -> None:
        """The device loses its power: everything that runs on it is gone when this returns."""
        if self._boot is None:
            return
        processes = self.processes()
        if self.is_up:
            os.kill(self.first_pid, signal.SIGKILL)  # the namespace ends with its first process
        self._boot.kill()
        self._boot.wait()
        wait_until(lambda: not any(_alive(process.pid) for process in processes), 10, "the device's processes to end")
        self._boot = None

    def close(self) -> None:
        """May be called again."""
        self.halt()
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        self._log.close()

    @property
    def is_up(self) -> bool:
        return self._boot is not None and self._boot.poll() is None

    @property
    def first_pid(self) -> int:
        """This machine's number of the device's first process."""
        if self._boot is None or self._boot.poll() is not None:
            raise RuntimeError(f"this device is not up: {self.log_tail()}")
        outside = self._boot.pid
        return wait_until(lambda: _children(outside), 10, "the device's first process")[0]

    def processes(self) -> list[DeviceProcess]:
        """Everything that runs on the device now."""
        if not self.is_up:
            return []
        space = os.stat(f"/proc/{self.first_pid}/ns/pid").st_ino
        found = (_process(int(name), space) for name in os.listdir("/proc") if name.isdigit())
        return [process for process in found if process is not None]

    def kill(self, pids: list[int], sent: signal.Signals) -> None:
        for pid in pids:
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                pass  # it ended by itself

    def inet_sockets(self) -> dict[int, dict[str, str]]:
        """Processes that hold TCP, UDP or raw sockets: by inode, the lines of /proc/net that speak of them."""
        rows = _inet_rows()
        pids = [process.pid for process in self.processes()]
        held = {pid: {inode: rows[inode] for inode in _inodes(pid) if inode in rows} for pid in pids}
        return {pid: lines for pid, lines in held.items() if lines}

    def storage_path(self, name: str = "") -> Path:
        """A file of the device's storage as this process can open it, whether the device is up or not."""
        return Path(f"/proc/{self._holder.pid}/root{self.root}{self.storage}") / name

    def fill_disk(self) -> int:
        """Leave no byte free on a device whose disk is limited; how many were."""
        if self._disk_mib is None:
            raise RuntimeError("this rig's disk is this machine's: start it with disk_mib to fill it")
        path, zeros = self.storage_path(".filler"), bytes(1 << 20)
        with open(path, "ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                while _wrote(filler, zeros[:size]):
                    pass
        return path.stat().st_size

    def free_disk(self) -> None:
        self.storage_path(".filler").unlink(missing_ok=True)

    def log_tail(self) -> str:
        return self._log_path.read_text(errors="replace")[-3000:]

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOT": str(self.root), "STORAGE": self.storage}
        return {**path, **more}


def wait_until(holds: Callable[[], Found], timeout_s: float, what: str) -> Found:
    """The first true value of `holds`. Raises `TimeoutError` naming `what` was awaited."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)
    return found


def _mortal() -> list[str]:
    """What makes a process end with the test session, however that ends.

    A session below nohup hands on that hang-ups are ignored, which no device does.
    """
    unmoved = [tool("env", "coreutils"), "--default-signal=HUP"]
    return [*unmoved, tool("setpriv", "util-linux"), "--pdeathsig", "KILL", "--"]


def _wrote(file: IO[bytes], data: bytes) -> bool:
    try:
        return file.write(data) > 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _process(pid: int, space: int) -> DeviceProcess | None:
    """Process `pid`, when it lives in process namespace `space`."""
    folder = Path(f"/proc/{pid}")
    try:
        if os.stat(folder / "ns/pid").st_ino != space:
            return None
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        argv = (folder / "cmdline").read_text(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None  # it ended meanwhile, or is one of the system's that even root may not look into
    if argv and argv[0].startswith(_QEMU):
        argv = argv[2:]  # the emulator and the program's path, then what the device started
    own, parent, user = status["NSpid"].split()[-1], status["PPid"], status["Uid"].split()[0]
    return DeviceProcess(pid, int(own), int(parent), int(user), status["State"][0], tuple(argv))


def _inet_rows() -> dict[str, str]:
    """Lines of this network's sockets by inode."""
    rows = {}
    for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        path = Path("/proc/net") / name
        if path.exists():
            rows.update({line.split()[9]: f"{name} {line.strip()}" for line in path.read_text().splitlines()[1:]})
    return rows


def _inodes(pid: int) -> list[str]:
    """Inodes of the sockets that a process holds."""
    held = []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                held.append(target[8:-1])
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended meanwhile
    return held

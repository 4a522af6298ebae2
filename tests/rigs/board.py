"""A Jetson-like arm64 board behind a real sshd: Debian's arm64 packages under qemu-user, a Python without any runtime.

Latencies on it mean nothing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
from pathlib import Path

from tests.rigs.client import ClientHome, free_port, make_ssh_key, run_checked, tool
from tests.rigs.emulation import require_arm64, require_root
from tests.rigs.hardware import Cluster, Hardware, write_files
from tests.rigs.machine import DeviceProcess, Machine, wait_until
from tests.rigs.packages import unpacked

USER = "ew-board"
_PACKAGES = (
    "libc6 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal libstdc++6 libgcc-s1 zlib1g libexpat1 libffi8 "
    "libssl3 liblzma5 libbz2-1.0 libuuid1 busybox-static"
).split()
_TOOLS = (
    "sh ls cat uname mkdir rm mv cp chmod stat df du ps kill sleep sha256sum tar gzip gunzip env id nproc taskset head "
    "tail grep sed true false echo printf test touch readlink sort cut tr wc find dd awk ln rmdir expr date pidof "
    "pgrep pkill realpath basename dirname tee seq timeout setsid xxd od"
).split()
_BOOT = """
mount -t proc proc $ROOT/proc
mount --bind $ROOT/.host/cpuinfo $ROOT/proc/cpuinfo
mount -t tmpfs -o mode=755 tmpfs $ROOT/dev
for n in null zero urandom random tty; do : > $ROOT/dev/$n; mount --bind /dev/$n $ROOT/dev/$n; done
mkdir $ROOT/dev/shm; mount -t tmpfs -o mode=1777 tmpfs $ROOT/dev/shm
mount --rbind $ROOT /srv
$SSHD -D -e -f $CONFIG
exit $?
"""


class BoardRig:
    """`uri` leads to it; the client's home knows its host key."""

    def __init__(self, client: ClientHome, name: str = "board", *, disk_mib: int | None = None) -> None:
        require_root()
        require_arm64()
        self.client = client
        self.port = free_port()
        self.folder = client.session.path / name
        self.root = self.folder / "root"
        self.folder.mkdir(mode=0o755)
        self._entry = _user()
        self._furnish()
        self.host_key_line = self._make_keys()
        client.add_known_host(self.host_key_line)
        log = self.folder / "log"
        self.machine = Machine(self.root, "/home/jet", self._entry.pw_uid, disk_mib, log)
        if disk_mib is None:
            os.chown(self.root / "home/jet", self._entry.pw_uid, self._entry.pw_gid)
        self.start()

    @property
    def uri(self) -> str:
        return f"ssh://{USER}@127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        return self.client.env

    def start(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        self.machine.boot(_BOOT, {"SSHD": tool("sshd", "openssh-server"), "CONFIG": str(self.folder / "sshd_config")})
        wait_until(self._answers, 20, "the board's sshd")

    def restart(self) -> None:
        """The board loses its power and comes up again."""
        self.machine.halt()
        self.start()

    def stop(self) -> None:
        self.machine.close()

    def processes(self) -> list[DeviceProcess]:
        return self.machine.processes()

    def kill_sessions(self, sent: signal.Signals) -> None:
        """A signal to every connection's sshd, but not to the one that listens."""
        names = {process.pid: process.argv[0] for process in self.processes() if process.argv}
        sshds = [pid for pid, name in names.items() if name.startswith("sshd:") and "listener" not in name]
        self.machine.kill(sshds, sent)

    def fill_disk(self) -> int:
        return self.machine.fill_disk()

    def free_disk(self) -> None:
        self.machine.free_disk()

    def _answers(self) -> bool:
        if not self.machine.is_up:
            raise RuntimeError(f"the board did not start: {self.machine.log_tail()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _furnish(self) -> None:
        shutil.copytree(unpacked(_PACKAGES), self.root, symlinks=True)
        for name in ("proc", "dev", "tmp", "home/jet", "etc", "bin", "sys/firmware/devicetree/base", ".host"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        (self.root / "usr/bin/python3").symlink_to("python3.11")
        for name in _TOOLS:
            (self.root / "bin" / name).symlink_to("busybox")
        self._put("sys/firmware/devicetree/base/model", "NVIDIA Jetson Orin Nano Developer Kit (emulated)\0")
        self._put("sys/firmware/devicetree/base/compatible", "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0")
        self._put("etc/nv_tegra_release", "# R36 (release), REVISION: 3.0, GCID: 0, BOARD: generic, EABI: aarch64\n")
        self._put("etc/os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm), arm64"\nID=debian\nVERSION_ID="12"\n')
        self._put("etc/passwd", f"{USER}:x:{self._entry.pw_uid}:{self._entry.pw_gid}::/home/jet:/bin/sh\n")
        self._put("etc/group", f"{USER}:x:{self._entry.pw_gid}:\n")
        cores = len(os.sched_getaffinity(0))
        thermal = {"cpu-thermal": 42500, "gpu-thermal": 41000}
        write_files(self.root, Hardware((Cluster(cores, 0xD42, 1024, 115_200, 1_510_400),), "schedutil", thermal))

    def _put(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def _make_keys(self) -> str:
        key = self.folder / "host_key"
        make_ssh_key(key)
        (self.folder / "authorized_keys").write_text(self.client.ssh_public_key + "\n")
        lines = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": key,
            "PidFile": self.folder / "pid",
            "AuthorizedKeysFile": self.folder / "authorized_keys",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "no",
            "AllowUsers": USER,
            "MaxStartups": "100",
            "ChrootDirectory": "/srv",
            "SetEnv": "QEMU_CPU=cortex-a72",
            "Subsystem": "sftp internal-sftp",
        }
        (self.folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        key_type, public = key.with_suffix(".pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {key_type} {public}"


def _user() -> pwd.struct_passwd:
    """sshd looks the user up on this machine before it enters the board."""
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        options = ["-M", "-N", "-g", "nogroup", "-d", "/home/jet", "-s", "/bin/sh", "-p", "*"]
        run_checked([tool("useradd", "passwd"), *options, USER])
        return pwd.getpwnam(USER)

"""Android-like phones: an arm64 userland without a /lib, as the shell user, behind Android's own adbd.

The `AdbServer` is the session's; the cable between it and a phone does what a cable does by itself: a phone that boots
again, or a server that starts again, is found without anybody's help.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

from tests.rigs.adbd import adbd
from tests.rigs.client import ClientHome, free_port, tool
from tests.rigs.emulation import require_arm64, require_root
from tests.rigs.hardware import Cluster, Hardware, split_cores, write_files
from tests.rigs.machine import DeviceProcess, Machine, wait_until
from tests.rigs.packages import unpacked

SHELL_UID = 2000  # AID_SHELL
STORAGE = "/data/local/tmp"
_APPLETS = """
    ls cat echo id uname mkdir rm mv cp chmod chown stat df du ps kill sleep md5sum sha256sum tar gzip gunzip head tail
    grep sed awk find wc date env printf touch test true false taskset nproc top uptime xxd od dd seq timeout setsid
    nohup ln readlink realpath rmdir sort cut tr pidof pgrep pkill free sync which mktemp expr basename dirname cmp tee
    xargs yes uniq
""".split()
_BOOT = """
mount -t proc proc "$ROOT/proc"
mount --bind "$ROOT/.host/cpuinfo" "$ROOT/proc/cpuinfo"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
mkdir -p "$ROOT/dev/pts" "$ROOT/dev/socket"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
for name in null zero urandom random tty; do : > "$ROOT/dev/$name"; mount --bind "/dev/$name" "$ROOT/dev/$name"; done
cd "$ROOT"
while :; do  # like Android's init, start adbd again when it ends
    env -i PATH=/system/bin HOME=/ TMPDIR=/data/local/tmp ANDROID_DATA=/data ANDROID_ROOT=/system QEMU_CPU=cortex-a72 \\
        "$CHROOT" --userspec=2000:2000 --groups=2000 "$ROOT" \\
        /.host/adbd/ld-linux-x86-64.so.2 --library-path /.host/adbd /.host/adbd/adbd || true
    sleep 0.2
done
"""
_GETPROP = """#!/system/bin/sh
if [ -z "$1" ]; then
    while IFS== read -r name value; do echo "[$name]: [$value]"; done < /system/build.prop
else
    while IFS== read -r name value; do [ "$name" = "$1" ] && echo "$value" && exit; done < /system/build.prop
    echo "$2"
fi
"""
_DUMPSYS = """#!/system/bin/sh
[ "$1" = battery ] || { echo "Can't find service: $1"; exit 0; }
from() { cat /sys/class/power_supply/battery/$1; }
echo "Current Battery Service state:
  AC powered: false
  USB powered: true
  status: 3
  present: true
  level: $(from capacity)
  scale: 100
  voltage: $(($(from voltage_now) / 1000))
  temperature: $(from temp)
  technology: Li-ion"
"""


class AdbServer:
    """The ADB server of a session, on a port of its own, with its home; and the cables of its phones."""

    def __init__(self, client: ClientHome) -> None:
        tool("unshare", "util-linux")
        self.client, self.env = client, client.env
        self._plugged: set[str] = set()
        self._offline: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._log = open(client.session.path / "adb-server.log", "ab")
        assert client.adb_public_key  # made before the server looks for it
        self.start()
        self._thread = threading.Thread(target=self._watch_cables, name="adb-cables", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Nothing when a server, whoever started it, answers already."""
        if self.answers():
            return
        self._reap()
        where = ["-L", f"tcp:localhost:{self.client.adb_port}", "server", "nodaemon"]
        argv = [tool("setpriv", "util-linux"), "--pdeathsig", "KILL", "--", self.client.adb_program, *where]
        env = {**self.client.process_env, "ADB_LOCAL_TRANSPORT_MAX_PORT": "0", "ADB_MDNS_AUTO_CONNECT": "0"}
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=env)
        wait_until(self.answers, 30, "the ADB server to answer")

    def kill(self) -> None:
        """As `adb kill-server`: done when nothing answers any more."""
        if self.answers():
            self._ask("host:kill")
            wait_until(lambda: not self.answers(), 10, "the ADB server to end")
        self._reap()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self.kill()
        self._log.close()

    def answers(self) -> bool:
        try:
            return bool(self._ask("host:version"))
        except OSError:
            return False

    def states(self) -> dict[str, str]:
        """State of every phone by serial: device, unauthorized, offline..."""
        try:
            listing = self._ask("host:devices")
        except OSError:
            return {}
        return dict(line.split("\t") for line in listing.splitlines())

    def plug(self, serial: str) -> None:
        self._plugged.add(serial)

    def unplug(self, serial: str) -> None:
        """Done when the server knows the phone no more."""
        self._plugged.discard(serial)

        def gone() -> bool:
            if serial in self.states():
                self._try(f"host:disconnect:{serial}")
            return serial not in self.states()

        wait_until(gone, 15, f"the ADB server to forget {serial}")

    def replug(self, serial: str) -> None:
        self.unplug(serial)
        self.plug(serial)

    def _watch_cables(self) -> None:
        while not self._ended.wait(0.2):
            states = self.states()
            for serial in sorted(self._plugged):
                if serial not in states:
                    self._try(f"host:connect:{serial}")
                elif states[serial] == "offline" and serial in self._offline:
                    self._try(f"host:disconnect:{serial}")  # the server's own next attempt is 10 s away
            self._offline = {serial for serial, state in states.items() if state == "offline"}

    def _try(self, service: str) -> None:
        try:
            self._ask(service)
        except OSError:
            pass  # no server, or none that answers: the next round tries again

    def _ask(self, service: str) -> str:
        """What the server answers to a `host:` service."""
        with socket.socket() as connection:  # a plain address: tests replace the resolver
            connection.settimeout(20)
            connection.connect(("127.0.0.1", self.client.adb_port))
            connection.sendall(f"{len(service):04x}{service}".encode())
            with connection.makefile("rb") as answer:
                status = answer.read(4)
                size = answer.read(4)
                text = answer.read(int(size, 16)).decode() if size else ""
        if status != b"OKAY":
            raise ConnectionError(f"the ADB server answered {status!r} {text} to {service}")
        return text

    def _reap(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class PhoneRig:
    """One phone. `locked`: it lets only desktops in that it knows. Its serial stays the same for the rig's life."""

    def __init__(
        self,
        server: AdbServer,
        name: str = "EMU0001",
        locked: bool = False,
        disk_mib: int | None = None,
        plugged: bool = True,
    ) -> None:
        require_root()
        require_arm64()
        self.server, self.name, self.locked = server, name, locked
        self.env = server.env
        self.port = free_port()
        self.serial = f"127.0.0.1:{self.port}"
        self.uri = f"adb://{self.serial}"
        folder = server.client.session.path / name
        self.root = folder / "root"
        _build_tree(self.root, name, self.port, locked)
        self.machine = Machine(self.root, STORAGE, SHELL_UID, disk_mib, folder / "log")
        try:
            self._boot()
            if plugged:
                self.plug()
        except BaseException:
            self.stop()
            raise

    @property
    def state(self) -> str:
        """What the ADB server says of it: device, unauthorized, offline; `absent` when it does not know it."""
        return self.server.states().get(self.serial, "absent")

    def plug(self) -> None:
        """Done when the server sees the phone in a settled state."""
        self.server.plug(self.serial)
        self._settle()

    def unplug(self) -> None:
        self.server.unplug(self.serial)

    def authorise(self) -> None:
        """Somebody taps "always allow from this computer"; done when the phone lets the desktop in."""
        self._keys.write_text(self.server.client.adb_public_key + "\n")
        self.server.replug(self.serial)
        wait_until(lambda: self.state == "device", 20, f"{self.serial} to be authorised")

    def revoke(self) -> None:
        """Somebody taps "revoke USB debugging authorisations"."""
        self._keys.unlink(missing_ok=True)
        self.server.replug(self.serial)
        self._settle()

    def restart(self) -> None:
        """The phone reboots: everything on it ends at once, what is on its disk stays."""
        self.machine.halt()
        self._boot()
        if self.serial in self.server._plugged:
            self.server.replug(self.serial)
            self._settle()

    def kill_adbd(self) -> None:
        """adbd ends as if killed, and Android's init starts it again; what it had started lives on without it."""
        self.machine.kill([self.adbd_pid], signal.SIGKILL)

    @property
    def adbd_pid(self) -> int:
        return wait_until(self._adbd_pids, 10, "adbd to run")[0]

    def shell_pids(self) -> list[int]:
        """The shells that adbd has started, as this machine counts processes."""
        return [process.pid for process in self.processes() if process.parent in self._adbd_pids()]

    def kill_shells(self, sent: signal.Signals = signal.SIGKILL) -> list[int]:
        pids = self.shell_pids()
        self.machine.kill(pids, sent)
        return pids

    def processes(self) -> list[DeviceProcess]:
        """What the shell user runs on the phone, adbd left out."""
        return [process for process in self.machine.processes() if process.uid == SHELL_UID and not _is_adbd(process)]

    def fill_disk(self) -> int:
        return self.machine.fill_disk()

    def free_disk(self) -> None:
        self.machine.free_disk()

    def stop(self) -> None:
        self.server.unplug(self.serial)
        self.machine.close()
        shutil.rmtree(self.root.parent, ignore_errors=True)

    @property
    def _keys(self) -> Path:
        return self.root / "data/misc/adb/adb_keys"

    def _boot(self) -> None:
        self.machine.boot(_BOOT, {"CHROOT": tool("chroot", "coreutils")})
        try:
            wait_until(self._listens, 20, f"{self.name}'s adbd to listen")
        except TimeoutError as error:
            raise RuntimeError(f"{error}; the phone's log ends with: {self.machine.log_tail()}") from error

    def _listens(self) -> bool:
        port = f":{self.port:04X} 00000000:0000 0A"
        return any(port in line for line in Path("/proc/net/tcp").read_text().splitlines())

    def _settle(self) -> None:
        wait_until(lambda: self.state in ("device", "unauthorized"), 30, f"{self.serial} to be seen")

    def _adbd_pids(self) -> list[int]:
        return [process.pid for process in self.machine.processes() if _is_adbd(process)]


def _is_adbd(process: DeviceProcess) -> bool:
    return process.argv[-1:] == ("/.host/adbd/adbd",) and process.argv[0].startswith("/.host/")


def _build_tree(root: Path, name: str, port: int, locked: bool) -> None:
    for folder in ("system/bin", "system/etc", "data/local/tmp", "data/misc/adb", "proc", "dev", "sdcard", ".host"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(adbd(), root / ".host/adbd")
    packages = unpacked(("busybox-static", "mksh"))
    shutil.copy(packages / "usr/lib/aarch64-linux-musl/bin/mksh", root / "system/bin/sh")
    shutil.copy(packages / "bin/busybox", root / "system/bin/busybox")
    for applet in _APPLETS:
        (root / "system/bin" / applet).symlink_to("busybox")
    for script, text in (("getprop", _GETPROP), ("dumpsys", _DUMPSYS)):
        (root / "system/bin" / script).write_text(text)
        (root / "system/bin" / script).chmod(0o755)
    (root / "bin").symlink_to("system/bin")
    (root / "etc").symlink_to("system/etc")
    shutil.chown(root / "data/local/tmp", SHELL_UID, SHELL_UID)
    (root / "data/local/tmp").chmod(0o771)
    (root / "system/build.prop").write_text(_properties(name, port, locked))
    write_files(root, _hardware())


def _properties(name: str, port: int, locked: bool) -> str:
    properties = {
        "ro.product.manufacturer": "Edgewright",
        "ro.product.brand": "edgewright",
        "ro.product.model": "Emulated Phone",
        "ro.product.name": "emulated_phone",
        "ro.product.device": "emulated",
        "ro.product.board": "emulated",
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a",
        "ro.soc.manufacturer": "Edgewright",
        "ro.soc.model": "EW8000",
        "ro.board.platform": "emulated",
        "ro.hardware": "emulated",
        "ro.build.version.sdk": "33",
        "ro.build.version.release": "13",
        "ro.build.fingerprint": "edgewright/emulated_phone/emulated:13/RIG/1:user/release-keys",
        "ro.build.type": "user",
        "ro.debuggable": "0",
        "ro.serialno": name,
        "ro.adb.secure": "1" if locked else "0",
        "service.adb.listen_addrs": f"tcp:localhost:{port}",
    }
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def _hardware() -> Hardware:
    little, big = split_cores()
    clusters = (Cluster(little, 0xD05, 325, 300_000, 1_804_800), Cluster(big, 0xD41, 1024, 710_400, 2_841_600))
    thermal = {"cpu-0-0": 31250, "cpu-1-0": 33500, "battery": 29100}
    return Hardware(tuple(c for c in clusters if c.count), "schedutil", thermal, "Edgewright EW8000", battery=True)

"""Android's own adbd for this Linux machine, built once from Debian's source package and kept.

Two things differ from a phone's: properties come from a file (`properties.cpp`), so that a phone's own `ro.adb.secure`
decides whether it demands authorisation, and one test of a stale `errno` is mended that keeps it from listening here.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.rigs.client import RigUnavailable, rig_root, run_checked, tool

PACKAGE = "android-platform-tools"
_PROPERTIES = Path(__file__).with_name("properties.cpp")
_CORE = "system/core"
_ADB = f"{_CORE}/adb"
_AUTH = "frameworks/native/libs/adbd_auth"
_ADB_SOURCES = """
    adb adb_io adb_listeners adb_trace adb_unique_fd adb_utils
    fdevent/fdevent fdevent/fdevent_poll fdevent/fdevent_epoll
    services sockets socket_spec sysdeps/errno transport transport_fd transport_local transport_usb types sysdeps_unix
    sysdeps/posix/network daemon/auth daemon/jdwp_service daemon/usb_dummy daemon/file_sync_service daemon/services
    daemon/shell_service shell_service_protocol adbconnection/adbconnection_server daemon/main
""".split()
_SOURCES = (
    *(f"{_ADB}/{name}.cpp" for name in _ADB_SOURCES),
    f"{_CORE}/diagnose_usb/diagnose_usb.cpp",
    f"{_CORE}/libasyncio/AsyncIO.cpp",
    f"{_CORE}/libcrypto_utils/android_pubkey.c",
    f"{_AUTH}/adbd_auth.cpp",
)
_INCLUDES = (
    "/usr/include/android",
    _ADB,
    *(f"{_ADB}/{name}" for name in ("daemon/include", "adbconnection/include")),
    f"{_CORE}/include",
    *(f"{_CORE}/{name}/include" for name in "base diagnose_usb libcrypto_utils libcutils liblog libasyncio".split()),
    f"{_AUTH}/include",
)
_FLAGS = (
    "-O0 -g0 -fPIC -w -D_GNU_SOURCE -DADB_HOST=0 -DALLOW_ADBD_ROOT=0 -DALLOW_ADBD_NO_AUTH=1 "
    "-DANDROID_BASE_UNIQUE_FD_DISABLE_IMPLICIT_CONVERSION=1 "
    '-DPLATFORM_TOOLS_VERSION="29.0.6" -DADB_VERSION="29.0.6"'
).split()
_CPP_FLAGS = ("-std=gnu++2a", "-include", "atomic", "-include", "optional")
_LIBRARIES = "-fuse-ld=lld -lbase -lcutils -llog -lcrypto -lcap -lpthread -lresolv -lutil".split()
_LISTENING = "if (errno == EAFNOSUPPORT || errno == EINVAL || errno == EPROTONOSUPPORT) {"
_MENDED = "if (serverfd < 0 && (errno == EAFNOSUPPORT || errno == EINVAL || errno == EPROTONOSUPPORT)) {"
_PACKAGES = (
    "clang lld dpkg-dev libcap-dev "
    "android-libboringssl-dev android-libbase-dev android-libcutils-dev android-liblog-dev"
)


def adbd() -> Path:
    """The folder of a built adbd: the program and every library it loads. Built at first use, in about a minute."""
    builds = rig_root() / "adbd"
    builds.mkdir(exist_ok=True)
    folder = builds / _key()
    with open(builds / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="build-", dir=builds) as scratch:
                _build(_fetch_source(Path(scratch)), Path(scratch) / "built")
                (Path(scratch) / "built").rename(folder)
    return folder


def _key() -> str:
    """What a build depends on: the version of Debian's libraries, which is the source's, and how we build."""
    for header in ("base", "cutils", "log"):
        if not Path(f"/usr/lib/{_triplet()}/android/lib{header}.so").exists():
            missing = f"building adbd needs Debian's lib{header} of Android, which is not here"
            raise RigUnavailable(missing, f"apt-get install {_PACKAGES}")
    version = run_checked(["dpkg-query", "-W", "-f=${source:Version}", "android-libbase-dev"])
    script = hashlib.sha256(Path(__file__).read_bytes() + _PROPERTIES.read_bytes()).hexdigest()
    return f"{re.sub('[^0-9a-z.+-]', '_', version)}-{script[:16]}"


def _triplet() -> str:
    tool("dpkg-architecture", _PACKAGES)
    return run_checked(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"]).strip()


def _fetch_source(scratch: Path) -> Path:
    """Debian's source, through this machine's own apt sources turned into source lists; apt checks the signatures."""
    for folder in ("lists/partial", "cache/archives/partial", "sources"):
        (scratch / folder).mkdir(parents=True)
    _write_source_lists(scratch / "sources")
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": scratch / "sources",
        "Dir::State::lists": scratch / "lists",
        "Dir::Cache": scratch / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    run_checked([*apt, "update"], cwd=scratch)
    version = run_checked(["dpkg-query", "-W", "-f=${source:Version}", "android-libbase-dev"])
    run_checked([*apt, "source", "--only-source", f"{PACKAGE}={version}"], cwd=scratch)
    return next(path for path in scratch.glob(f"{PACKAGE}-*") if path.is_dir())


def _write_source_lists(into: Path) -> None:
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *(etc / "sources.list.d").glob("*.list")]:
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if re.match(r"deb\s", line)]
            (into / path.name).with_suffix(".list").write_text("".join(f"deb-src{line[3:]}\n" for line in lines))
    for path in (etc / "sources.list.d").glob("*.sources"):
        (into / path.name).write_text(re.sub(r"(?m)^Types:.*", "Types: deb-src", path.read_text()))


def _build(source: Path, folder: Path) -> None:
    listener = source / _ADB / "transport_local.cpp"
    text = listener.read_text()
    if text.count(_LISTENING) != 1:
        raise RuntimeError(f"{PACKAGE}'s transport_local.cpp is not the one this build knows")
    listener.write_text(text.replace(_LISTENING, _MENDED))
    compiler = tool("clang++", _PACKAGES)
    tool("ld.lld", _PACKAGES)
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda name: _compile(source, name), [*_SOURCES, str(_PROPERTIES)]))
    libraries = f"/usr/lib/{_triplet()}/android"
    folder.mkdir()
    program = folder / "adbd"
    paths = [f"-L{libraries}", f"-Wl,-rpath={libraries}"]
    run_checked([compiler, "-o", str(program), *objects, *paths, *_LIBRARIES], source)
    _gather_libraries(program, folder)


def _compile(source: Path, name: str) -> str:
    """Compile one file; the path of its object file."""
    output = source / (re.sub("[^a-z_]", "_", name) + ".o")
    compiler = ["clang"] if name.endswith(".c") else ["clang++", *_CPP_FLAGS]
    includes = [f"-I{folder}" for folder in _INCLUDES]
    run_checked([*compiler, *_FLAGS, *includes, "-c", name, "-o", str(output)], source)
    return str(output)


def _gather_libraries(program: Path, folder: Path) -> None:
    """The phone has no library of this machine's: put copies beside the program, loader included."""
    listing = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"(/\S+\.so\S*)", listing):
        shutil.copy(path, folder / Path(path).name)

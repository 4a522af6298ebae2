"""Debian's packages of one architecture on a machine of any, through its own apt with a private state.

apt checks the signature of the index. The index has the sha256 of every package, and every package is checked against
it, including those from the cache. Nothing is installed, and the machine's own apt state is neither read nor changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import DeviceError, InputError, StorageError
from ...file_lock import file_lock
from ...files import make_dir, sha256_of, storage_error, write_atomic
from ...wording import counted

SOURCES_VARIABLE = "EDGEWRIGHT_APT_SOURCES"
_REFRESH_AFTER_S = 24 * 3600.0
_UPDATE_TIMEOUT_S = 300.0
_DOWNLOAD_TIMEOUT_S = 900.0
_LOCK_TIMEOUT_S = 1800.0
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_OFFER = re.compile(r"'(?P<uri>[^']+)' (?P<file>[^ /]+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
# The machine's hooks are for its own state, its lists would be added to ours, its release may not be in other sources.
_CLEARED = """\
#clear APT::Architectures;
#clear APT::Default-Release;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


@dataclass(frozen=True)
class _Offer:
    """A package as the signed index has it."""

    package: str
    file_name: str
    sha256: str


def fetch_packages(
    names: Sequence[str],
    cache_dir: Path,
    on_status: Callable[[str], None] = lambda sentence: None,
    architecture: str = "arm64",
) -> tuple[Path, ...]:
    """The .deb files of these packages, in the order of `names`; downloaded when `cache_dir` lacks them.

    The sources are this machine's, or those of the file that the variable EDGEWRIGHT_APT_SOURCES names. The index is
    refreshed once a day; if that fails, an older one is used and `on_status` is called. Several processes may share
    `cache_dir`.

    Raises: `InputError` for names or a sources file that cannot be; `DeviceError` when apt is missing, the network
        fails or a package is not offered for the `architecture`; `StorageError` when the disk is full.
    """
    for name in names:
        if not _PACKAGE_NAME.fullmatch(name):
            raise InputError(f"{name!r} is not the name of a Debian package; use a name such as 'libc6'")
    if not names:
        return ()
    apt = _Apt(cache_dir.resolve() / f"{architecture}-packages", _sources(), architecture)
    with file_lock(apt.home / "lock", _LOCK_TIMEOUT_S):
        apt.refresh(on_status)
        offers = apt.offers(names)
        missing = [offer for offer in offers if not _is_intact(apt.home / "debs" / offer.file_name, offer.sha256)]
        if missing:
            packages = f"{architecture} package"
            on_status(f"downloading {counted(len(missing), packages, f'{packages}s')}")
            apt.download(missing)
    return tuple(apt.home / "debs" / offer.file_name for offer in offers)


def unpack_packages(paths: Sequence[Path], into: Path) -> None:
    """Unpack .deb files, in their order, into one folder, which is made when missing; later files replace earlier ones.

    Raises: `DeviceError` when dpkg-deb is missing or a file is damaged, `StorageError` when the disk is full.
    """
    program = _program("dpkg-deb", "dpkg")
    make_dir(into)
    for path in paths:
        done = _run([program, "-x", str(path), str(into)], _DOWNLOAD_TIMEOUT_S, "unpacking")
        if done.returncode:
            _raise_when_full(done.stderr, into)
            raise DeviceError(
                f"dpkg-deb cannot unpack {path} ({_last_lines(done.stderr)}); delete that file and try again"
            )


def _sources() -> Path | None:
    value = os.environ.get(SOURCES_VARIABLE)
    if not value:
        return None
    path = Path(value).absolute()
    if not path.is_file():
        raise InputError(f"{SOURCES_VARIABLE} names {value}, which is not a file; name a sources.list or .sources file")
    return path


class _Apt:
    """apt-get with lists, cache and status of its own below `home`, one set for each sources file."""

    def __init__(self, home: Path, sources: Path | None, architecture: str) -> None:
        self.home, self._architecture = home, architecture
        self._sources = sources
        content = b"" if sources is None else sources.read_bytes()
        self._state = home / "apt" / (sha256_of(content)[:16] if sources else "machine")
        self._program = _program("apt-get", "apt")

    def refresh(self, on_status: Callable[[str], None]) -> None:
        """Bring the index up to date where it is older than a day."""
        stamp = self._state / "refreshed"
        age_s = time.time() - stamp.stat().st_mtime if stamp.is_file() else None
        if age_s is not None and 0 <= age_s < _REFRESH_AFTER_S:
            return
        self._prepare()
        on_status(f"refreshing the index of {self._architecture} packages")
        done = self._get(["update"], _UPDATE_TIMEOUT_S)
        if done.returncode == 0:
            return write_atomic(stamp, b"")
        _raise_when_full(done.stderr, self._state)
        if age_s is None:
            raise DeviceError(
                f"apt-get cannot read the index of {self._architecture} packages from {self._sources_named()} "
                f"({_last_lines(done.stderr)}); check the network, or set {SOURCES_VARIABLE} to a sources file that "
                f"offers Debian 12 for {self._architecture}"
            )
        age = f"{age_s / 86400:.1f} days old"
        on_status(f"the index of {self._architecture} packages is {age} and cannot be refreshed now")

    def offers(self, names: Sequence[str]) -> tuple[_Offer, ...]:
        """What the index offers for each name, in their order."""
        done = self._get(["--print-uris", "download", *dict.fromkeys(names)], _UPDATE_TIMEOUT_S)
        offers = {}
        for match in _OFFER.finditer(done.stdout):
            package = match["file"].partition("_")[0]
            offers[package] = _Offer(package, match["file"], match["sha256"])
        lacking = [name for name in names if name not in offers]
        if lacking:
            raise DeviceError(
                f"{self._sources_named()} offer no {self._architecture} package {', '.join(lacking)} "
                f"({_last_lines(done.stderr) or 'apt-get gave no reason'}); "
                f"set {SOURCES_VARIABLE} to a sources file that does, such as one of Debian 12"
            )
        return tuple(offers[name] for name in names)

    def download(self, offers: Sequence[_Offer]) -> None:
        """Download, check and only then place."""
        debs = make_dir(self.home / "debs")
        with tempfile.TemporaryDirectory(prefix=".download-", dir=debs) as name:
            folder = Path(name)
            arguments = ["download", *dict.fromkeys(offer.package for offer in offers)]
            done = self._get(arguments, _DOWNLOAD_TIMEOUT_S, folder)
            for offer in offers:
                if not _is_intact(folder / offer.file_name, offer.sha256):
                    _raise_when_full(done.stderr, debs)
                    raise DeviceError(
                        f"apt-get did not download {offer.package} for {self._architecture} whole "
                        f"({_last_lines(done.stderr) or 'its sha256 is not the one in the index'}); "
                        "check the network and try again"
                    )
                _place(folder / offer.file_name, debs / offer.file_name)

    def _prepare(self) -> None:
        for part in ("lists/partial", "archives/partial"):
            make_dir(self._state / part)
        write_atomic(self._state / "status", b"")
        write_atomic(self._state / "cleared.conf", _CLEARED.encode())

    def _get(self, arguments: Sequence[str], timeout_s: float, folder: Path | None = None) -> _Ended:
        options = {
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            "APT::Sandbox::User": "root",  # the user of the system's cache cannot write in ours
            "APT::Update::Error-Mode": "any",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
            "Dir::State": self._state,
            "Dir::State::lists": self._state / "lists",
            "Dir::State::status": self._state / "status",
            "Dir::Cache": self._state,
            "Dir::Cache::archives": self._state / "archives",
        }
        if self._sources is not None:
            options |= {"Dir::Etc::sourcelist": self._sources, "Dir::Etc::sourceparts": "-"}
        argv = [self._program, "-q", "-c", str(self._state / "cleared.conf")]
        for key, value in options.items():
            argv += ["-o", f"{key}={value}"]
        return _run([*argv, *arguments], timeout_s, f"apt-get {arguments[0]}", folder)

    def _sources_named(self) -> str:
        return "this machine's apt sources" if self._sources is None else f"the apt sources in {self._sources}"


@dataclass(frozen=True)
class _Ended:
    returncode: int
    stdout: str
    stderr: str


def _run(argv: Sequence[str], timeout_s: float, what: str, folder: Path | None = None) -> _Ended:
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s,
            check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DeviceError(
            f"{what} did not end within {timeout_s:g} s and was stopped; check the network and try again"
        ) from error
    except (OSError, ValueError) as error:
        raise DeviceError(f"cannot start {argv[0]} for {what} ({error}); check that it is installed") from error
    return _Ended(done.returncode, done.stdout, done.stderr)


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise DeviceError(
            f"this machine has no {name}, which is needed to fetch and unpack Debian packages; on Debian or Ubuntu it "
            f"is in the package {package}; elsewhere run this in a Debian container"
        )
    return path


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return False


def _place(source: Path, target: Path) -> None:
    try:
        os.chmod(source, 0o644)
        with open(source, "rb") as written:
            os.fsync(written.fileno())
        os.replace(source, target)
    except OSError as error:
        raise storage_error(target, error) from error


def _raise_when_full(stderr: str, folder: Path) -> None:
    if re.search(r"No space left on device|Disk quota exceeded|have enough free space", stderr):
        raise StorageError(f"cannot write in {folder}: the disk is full; free some space or choose another folder")


def _last_lines(stderr: str) -> str:
    """apt's own errors, else its last words."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line[2:].strip() for line in lines if line.startswith("E:")]
    return "; ".join(errors[:2] or lines[-2:])

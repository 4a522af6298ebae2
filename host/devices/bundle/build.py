"""A self-contained runtime, built on this machine: glibc's loader, Python, numpy and LiteRT in one folder.

It serves devices that have no Python and no glibc (Android), or a glibc too old for LiteRT's wheel. Its parts are
Debian's packages and PyPI's wheels for its machine, each verified by hash; none of them is redistributed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, StorageError
from ...file_lock import file_lock
from ...files import atomic_path, make_dir, storage_error, write_atomic
from .debian import SOURCES_VARIABLE, fetch_packages, unpack_packages
from .layout import PACKAGES, PYTHON, lay_out
from .machines import BundleMachine

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_PIP_S = 600.0
_OTHERS_S = 1800.0  # how long another build may take
_FORMAT = 1

Say = Callable[[str], None]


@dataclass(frozen=True)
class Bundle:
    """A packed runtime: `path` is a .tar.gz whose `sha256` is its identity."""

    path: Path
    sha256: str
    size_bytes: int
    manifest: Mapping[str, Any]


def build_bundle(machine: BundleMachine, cache_dir: Path, on_status: Say = lambda sentence: None) -> Bundle:
    """The bundle of today's parts for a machine, from `cache_dir` when it was built of the same before.

    Raises: `DeviceError` when apt cannot fetch a part, `InputError` when pip cannot, or apt has other sources;
        `StorageError` when the disk is full.
    """
    make_dir(cache_dir)
    with file_lock(cache_dir / ".lock", _OTHERS_S):
        try:
            return _built(machine, cache_dir, on_status)
        except StorageError:
            raise
        except OSError as error:
            raise storage_error(cache_dir, error) from error


def load_bundle(path: Path) -> Bundle:
    """A bundle that was built elsewhere. Raises `InputError` when it is none."""
    try:
        content = path.read_bytes()
        # All of it, against the sum at its end: a device would only find out after it has been sent there.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content)), mode="r:") as packed:
            member = packed.extractfile("manifest.json")
            manifest = json.loads(member.read()) if member is not None else None
    except (OSError, zlib.error, tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a runtime bundle ({error}); build one with edgewright agent deploy") from error
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise InputError(f"{path} is a bundle of another version; build one with edgewright agent deploy")
    return Bundle(path, hashlib.sha256(content).hexdigest(), len(content), manifest)


def _built(machine: BundleMachine, cache_dir: Path, say: Say) -> Bundle:
    debs = fetch_packages(PACKAGES, cache_dir / "debian", architecture=machine.debian)
    _check_python(debs, machine)
    wheels = _fetch_wheels(cache_dir / "wheels", machine)
    parts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (*debs, *wheels)}
    strips = shutil.which("llvm-strip") is not None
    recipe = [_FORMAT, machine.name, parts, REQUIREMENTS.read_text(), _layout_digest(), strips]
    path = cache_dir / f"runtime-{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}.tar.gz"
    if _is_whole(path):
        return load_bundle(path)
    say(f"building the {machine.debian} runtime bundle from Debian's packages and PyPI's wheels (about 20 s, once)")
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_dir) as scratch:
        _build(machine, Path(scratch), debs, wheels, parts, path)
    bundle = load_bundle(path)
    write_atomic(path.with_suffix(".sha256"), bundle.sha256.encode())
    say(f"the bundle has {bundle.size_bytes / 2**20:.1f} MiB and is kept in {cache_dir}")
    return bundle


def _is_whole(path: Path) -> bool:
    noted = path.with_suffix(".sha256")
    if not (path.is_file() and noted.is_file()):
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == noted.read_text()


def _layout_digest() -> str:
    return hashlib.sha256(Path(__file__).with_name("layout.py").read_bytes()).hexdigest()


def _check_python(debs: Sequence[Path], machine: BundleMachine) -> None:
    if not any(deb.name.startswith(f"{PYTHON}-minimal_3.11.") for deb in debs):
        raise InputError(
            f"apt's sources offer no {PYTHON} for {machine.debian}; name a file with Debian 12 sources in "
            f"{SOURCES_VARIABLE}"
        )


def _fetch_wheels(folder: Path, machine: BundleMachine) -> tuple[Path, ...]:
    """The pinned wheels; pip compares their hashes with those that are written down."""
    make_dir(folder)
    names = re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text())
    kept = [_wheel(folder, name, version, machine) for name, version in names]
    if all(kept):
        return tuple(path for path in kept if path)
    what = f"the {machine.name} wheels of {REQUIREMENTS.name}"
    platforms = [word for tag in machine.wheel_tags for word in ("--platform", tag)]
    argv = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--only-binary=:all:", "--python-version", "3.11", *platforms,
        "--dest", str(folder), "--requirement", str(REQUIREMENTS),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PIP_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"pip did not download {what} within {_PIP_S:g} s; check the network") from error
    if done.returncode != 0:
        said = done.stderr.strip()[-400:]
        raise InputError(f"pip cannot download {what}: {said}; check the network")
    wheels = [path for name, version in names if (path := _wheel(folder, name, version, machine)) is not None]
    if len(wheels) != len(names):
        raise InputError(
            f"pip downloaded other wheels into {folder} than {REQUIREMENTS.name} pins; empty that folder and try again"
        )
    return tuple(wheels)


def _wheel(folder: Path, name: str, version: str, machine: BundleMachine) -> Path | None:
    """The pinned wheel, whatever else is in the folder."""
    files = sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*{machine.name}*.whl"))
    return next((path for path in files if _is_pinned(path)), None)


def _is_pinned(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() in REQUIREMENTS.read_text()


def _build(
    machine: BundleMachine,
    scratch: Path,
    debs: Sequence[Path],
    wheels: Sequence[Path],
    parts: Mapping[str, str],
    target: Path,
) -> None:
    system, site, root = scratch / "system", scratch / "site", scratch / "bundle"
    unpack_packages(debs, system)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    lay_out(machine, system, site, root)
    manifest = {
        "format": _FORMAT,
        "machine": machine.name,
        "python": PYTHON,
        "parts": parts,
        "licences": "each part under its own; built on the user's machine from their sources, not redistributed",
    }
    (root / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    with atomic_path(target) as temporary:
        _pack(root, temporary)


def _pack(root: Path, target: Path) -> None:
    """Equal files give equal bytes: sorted, without times and owners."""
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for path in sorted(root.rglob("*")):
                entry = archive.gettarinfo(path, str(path.relative_to(root)))
                entry.uid = entry.gid = entry.mtime = 0
                entry.uname = entry.gname = ""
                entry.mode = 0o700 if path.is_dir() or entry.mode & 0o100 else 0o600
                if path.is_dir():
                    archive.addfile(entry)
                else:
                    with open(path, "rb") as content:
                        archive.addfile(entry, content)

"""The bundles, built of real packages and wheels: of what it is made, when it is built, and when it is chosen."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from edgewright.devices import Registry, connect
from edgewright.devices.bundle import build as runtime_bundle
from edgewright.devices.bundle import debian
from edgewright.devices.bundle.build import Bundle, build_bundle, load_bundle
from edgewright.devices.bundle.debian import SOURCES_VARIABLE, fetch_packages, unpack_packages
from edgewright.devices.bundle.machines import BUNDLE_MACHINES
from edgewright.devices.deployment import runtime_choice
from edgewright.devices.deployment.deploy import DeployOptions, deploy, remove_agent
from edgewright.devices.deployment.runtime_choice import Choice, choose_runtime
from edgewright.devices.probe.pythons import DevicePython
from edgewright.devices.transport import Completed
from edgewright.errors import DeviceError, EdgewrightError, InputError
from edgewright.files import sha256_of

from tests.marks import sweep
from tests.rigs.client import RigUnavailable, rig_root
from tests.rigs.fixtures import require

pytestmark = pytest.mark.timeout(600)
ARM64 = BUNDLE_MACHINES["aarch64"]


@pytest.fixture(scope="module")
def cache() -> Path:
    """What is built here is kept for the next run."""
    return rig_root() / "bundles"


def bundle_for(machine: str, cache: Path) -> Bundle:
    def build() -> Bundle:
        try:
            return build_bundle(BUNDLE_MACHINES[machine], cache)
        except EdgewrightError as error:
            raise RigUnavailable(str(error), "let apt-get and pip reach their servers, or mirrors of them") from error

    return require(build)


@pytest.fixture(scope="module")
def bundle(cache: Path) -> Bundle:
    return bundle_for("aarch64", cache)


@pytest.fixture
def own_cache(bundle: Bundle, cache: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the cache, to do harm to."""
    shutil.copytree(cache, tmp_path / "cache")
    yield tmp_path / "cache"
    shutil.rmtree(tmp_path / "cache")  # pytest keeps the folders of several runs


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# Building


def test_a_second_build_builds_nothing(bundle: Bundle, cache: Path) -> None:
    said: list[str] = []
    assert build_bundle(ARM64, cache, said.append) == bundle
    assert said == []
    assert sha256_of(bundle.path.read_bytes()) == bundle.sha256 and bundle.path.stat().st_size == bundle.size_bytes


@pytest.mark.parametrize("machine", BUNDLE_MACHINES)
def test_the_manifest_names_every_part_by_its_hash(machine: str, cache: Path) -> None:
    bundle = bundle_for(machine, cache)
    parts = bundle.manifest["parts"]
    files = {path.name: path for path in cache.rglob("*") if path.suffix in (".deb", ".whl")}
    assert bundle.manifest["machine"] == machine
    assert {name.rpartition("_")[2] for name in parts if name.endswith(".deb")} == {
        f"{BUNDLE_MACHINES[machine].debian}.deb"
    }
    assert {name.partition("_")[0] for name in parts if name.endswith(".deb")} == set(runtime_bundle.PACKAGES)
    assert {name.partition("-")[0] for name in parts if name.endswith(".whl")} == {"ai_edge_litert", "numpy"}
    assert parts == {name: sha256_of(files[name].read_bytes()) for name in parts}


@pytest.mark.parametrize("machine", BUNDLE_MACHINES)
def test_what_is_packed_stays_inside_and_is_private(machine: str, cache: Path) -> None:
    """No member leads out of the folder it is unpacked in, and none is for others."""
    with tarfile.open(bundle_for(machine, cache).path) as packed:
        members = packed.getmembers()
    assert len(members) > 100
    for member in members:
        path = PurePosixPath(member.name)
        assert not path.is_absolute() and ".." not in path.parts, member.name
        assert member.isdir() or member.isreg(), f"{member.name} is a link, or no file at all"
        assert member.mode in ((0o700,) if member.isdir() else (0o600, 0o700)), member.name
        assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, ""), member.name


def test_equal_files_give_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    """Unpacked at another time, in another place, and packed again, it is the same bundle: devices keep theirs."""
    with tarfile.open(bundle.path) as packed:
        packed.extractall(tmp_path / "tree")
    for number in (1, 2):
        os.utime(tmp_path / "tree" / "run", (number, number))
        runtime_bundle._pack(tmp_path / "tree", tmp_path / f"{number}.tar.gz")
        assert sha256_of((tmp_path / f"{number}.tar.gz").read_bytes()) == bundle.sha256
    shutil.rmtree(tmp_path / "tree")


def test_an_altered_bundle_in_the_cache_is_built_again(bundle: Bundle, own_cache: Path) -> None:
    flip_a_byte(own_cache / bundle.path.name)
    said: list[str] = []
    again = build_bundle(ARM64, own_cache, said.append)
    assert any("building the arm64 runtime bundle" in sentence for sentence in said)
    assert again.sha256 == bundle.sha256, "a device that has it needs it no second time"


@pytest.mark.parametrize(
    "pattern", [sweep("ai_edge_litert-*aarch64.whl"), "numpy-*aarch64.whl", sweep("libc6_*arm64.deb")]
)
def test_an_altered_part_in_the_cache_is_brought_again(bundle: Bundle, own_cache: Path, pattern: str) -> None:
    [part] = own_cache.rglob(pattern)
    flip_a_byte(part)
    assert build_bundle(ARM64, own_cache).sha256 == bundle.sha256
    assert sha256_of(part.read_bytes()) == bundle.manifest["parts"][part.name]


def test_an_altered_wheel_that_cannot_be_brought_again_is_not_used(
    bundle: Bundle, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    [wheel] = own_cache.rglob("numpy-*aarch64.whl")
    flip_a_byte(wheel)
    with pytest.raises(InputError, match="pip cannot download the aarch64 wheels of requirements.txt"):
        build_bundle(ARM64, own_cache)


@pytest.mark.sweep
def test_half_a_build_is_no_bundle(bundle: Bundle, own_cache: Path) -> None:
    """The process died between the bundle and the note of its hash."""
    note = (own_cache / bundle.path.name).with_suffix(".sha256")
    note.unlink()
    (own_cache / bundle.path.name).write_bytes(bundle.path.read_bytes()[:1000])
    assert build_bundle(ARM64, own_cache).sha256 == bundle.sha256 == note.read_text()


# Debian's packages


@pytest.mark.parametrize("name", ["../libc6", "libc6;reboot", "-o=Dir=/", "", "LIBC6"])
def test_what_is_no_name_of_a_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a Debian package"):
        fetch_packages([name], tmp_path)


def test_sources_without_the_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.list").write_text("")
    monkeypatch.setenv(SOURCES_VARIABLE, str(tmp_path / "empty.list"))
    with pytest.raises(DeviceError, match=rf"apt sources in .*empty.list offer no arm64 package .*{SOURCES_VARIABLE}"):
        build_bundle(ARM64, tmp_path / "cache")
    monkeypatch.setenv(SOURCES_VARIABLE, str(tmp_path / "absent.list"))
    with pytest.raises(InputError, match=rf"{SOURCES_VARIABLE} names .*absent.list, which is not a file"):
        build_bundle(ARM64, tmp_path / "cache")


def test_an_old_index_serves_when_it_cannot_be_refreshed(
    bundle: Bundle, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network what was fetched before is still good."""
    [stamp] = own_cache.glob("debian/arm64-packages/**/refreshed")
    os.utime(stamp, (stamp.stat().st_atime, stamp.stat().st_mtime - 3 * 86400))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")  # nobody answers there
    said: list[str] = []
    packages = fetch_packages(["libc6", "zlib1g"], own_cache / "debian", said.append)
    assert [path.name.partition("_")[0] for path in packages] == ["libc6", "zlib1g"]
    assert said[-1].startswith("the index of arm64 packages is 3.")


def test_a_damaged_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "libc6.deb").write_bytes(b"junk")
    with pytest.raises(DeviceError, match=r"dpkg-deb cannot unpack .*libc6.deb .*; delete that file and try again"):
        unpack_packages([tmp_path / "libc6.deb"], tmp_path / "tree")


def test_a_machine_without_apt_is_told_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian.shutil, "which", lambda name: None)
    with pytest.raises(DeviceError, match="this machine has no apt-get"):
        fetch_packages(["libc6"], tmp_path)


# Reading


def packed(**members: bytes) -> bytes:
    """A .tar.gz of files by name, dots written as underscores."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"junk", bytes(1 << 20), packed(), packed(run=b""), packed(manifest_json=b"{"),
        packed(manifest_json=b"[]"), packed(manifest_json=b"{}"), packed(manifest_json=b"\xff"),
        packed(manifest_json=json.dumps({"format": 99, "machine": "aarch64"}).encode()),
    ],
    ids=["empty", "junk", "zeros", "no members", "no manifest", "half a manifest", "a list", "no format", "no text",
         "another format"],
)  # fmt: skip
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "given.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"given.tar.gz is .*; build one with edgewright agent deploy"):
        load_bundle(tmp_path / "given.tar.gz")


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.tar.gz is not a runtime bundle"):
        load_bundle(tmp_path / "absent.tar.gz")


@pytest.mark.parametrize("kept", [10, 0.01, 0.5, 0.9, 0.999, -8, -1])
def test_a_truncated_bundle_is_refused(bundle: Bundle, tmp_path: Path, kept: float) -> None:
    """However little is missing: the device would only find out after it has been sent there."""
    content = bundle.path.read_bytes()
    end = int(len(content) * kept) if 0 < kept < 1 else int(kept)
    (tmp_path / "half.tar.gz").write_bytes(content[:end])
    with pytest.raises(InputError, match="half.tar.gz is not a runtime bundle"):
        load_bundle(tmp_path / "half.tar.gz")


@pytest.mark.parametrize("place", [0.001, 0.3, 0.7, 0.9999])
def test_an_altered_bundle_is_refused(bundle: Bundle, tmp_path: Path, place: float) -> None:
    content = bytearray(bundle.path.read_bytes())
    content[int(len(content) * place)] ^= 0x10
    (tmp_path / "altered.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match="altered.tar.gz is not a runtime bundle"):
        load_bundle(tmp_path / "altered.tar.gz")


# Choosing


class Answering:
    """A device that only runs commands: whatever else is asked of it ends the test."""

    agent_dir = "/home/user/.edgewright"

    def __init__(self, machine: str) -> None:
        self.machine = machine

    def run(self, argv: Sequence[str], timeout_s: float) -> Completed:
        if list(argv) == ["uname", "-m"]:
            return Completed(0, f"{self.machine}\n".encode(), b"")
        return Completed(0 if argv[0] == "sh" else 1, b"", b"")


def python(*runtimes: str, numpy: str | None = "2.4.6") -> DevicePython:
    """One that has these runtimes; its path is named after them."""
    path = "/".join(("", "opt", *runtimes, "python3"))
    return DevicePython(path, (3, 11, 2), numpy, {name: "1.2.3" for name in runtimes})


Choose = Callable[..., tuple[Choice, list[str]]]


@pytest.fixture
def choose(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Choose:
    """What is chosen on a device with these Pythons, and what was said."""

    def choice_of(pythons: Sequence[DevicePython], machine: str, **asked: Any) -> tuple[Choice, list[str]]:
        said: list[str] = []
        monkeypatch.setattr(runtime_choice, "find_pythons", lambda transport, extra: tuple(pythons))
        monkeypatch.setattr(runtime_bundle, "build_bundle", lambda machine, cache_dir, say: bundle)
        given = {"python_path": None, "runtime_name": None, "bundle_path": None, **asked}
        choice = choose_runtime(Answering(machine), "board", cache_dir=tmp_path, say=said.append, **given)
        assert said[-1] == f"runtime: {choice.reason}", "what is taken is said aloud"
        return choice, said

    return choice_of


LITERT, TFLITE, TENSORFLOW = python("ai-edge-litert"), python("tflite-runtime"), python("tensorflow")


@pytest.mark.parametrize(
    ("pythons", "machine", "runtime", "chosen"),
    [
        ([TENSORFLOW, TFLITE, LITERT], "aarch64", None, LITERT),
        ([TENSORFLOW, TFLITE], "aarch64", None, TFLITE),
        ([TENSORFLOW], "aarch64", None, "bundle"),
        ([TENSORFLOW], "arm64", None, "bundle"),
        ([], "aarch64", None, "bundle"),
        ([python("ai-edge-litert", numpy=None)], "aarch64", None, "bundle"),
        ([TENSORFLOW], "x86_64", None, "bundle"),
        ([], "x86_64", None, "bundle"),
        ([TENSORFLOW], "armv7l", None, TENSORFLOW),
        ([LITERT, TENSORFLOW], "aarch64", "tensorflow", TENSORFLOW),
        ([TFLITE, TENSORFLOW], "aarch64", "ai-edge-litert", "bundle"),
    ],
)
def test_the_order_of_the_choice(
    choose: Choose, bundle: Bundle, pythons: list[DevicePython], machine: str, runtime: str | None, chosen: Any
) -> None:
    """The device's own LiteRT, its tflite-runtime, our bundle where it can run, TensorFlow: what is lightest first."""
    choice, _ = choose(pythons, machine, runtime_name=runtime)
    if chosen == "bundle":
        assert choice.bundle == bundle and choice.argv == ()
    else:
        assert choice.bundle is None and choice.argv == (chosen.path,)


@pytest.mark.parametrize("machine", ["riscv64", "armv7l"])
def test_where_nothing_fits_it_is_said_why(choose: Choose, machine: str) -> None:
    with pytest.raises(DeviceError, match=rf"\({machine}\) has no Python with a working TFLite runtime: there is no"):
        choose([], machine)
    with pytest.raises(DeviceError, match="/opt/ai-edge-litert/python3: numpy is not installed; install one there"):
        choose([python("ai-edge-litert", numpy=None)], machine)


def test_a_torch_that_the_bundle_leaves_unused_is_said_aloud(choose: Choose) -> None:
    """The bundle has none, so what the device could do with .pt2 files would be lost in silence."""
    choice, said = choose([python("torch"), python()], "aarch64")
    assert choice.bundle is not None
    assert [sentence for sentence in said if "torch" in sentence] == [
        "/opt/torch/python3: no TFLite runtime is installed; its torch 1.2.3 could run .pt2 files if ai-edge-litert "
        "were installed beside it"
    ]


def test_a_bundle_is_taken_where_it_is_named(choose: Choose, bundle: Bundle) -> None:
    choice, _ = choose([LITERT], "aarch64", bundle_path=bundle.path)
    assert choice.bundle == bundle and choice.reason == f"the bundle {bundle.path.name}, as requested"


def test_a_bundle_for_another_machine_is_refused_before_anything_is_sent(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a bundle for aarch64, and device 'board' is x86_64; leave out `bundle`"):
        deploy(Answering("x86_64"), "board", tmp_path, DeployOptions(bundle=bundle.path))


# On a device


@pytest.mark.sweep
@pytest.mark.parametrize("library", ["site/ai_edge_litert/libpywrap_litert_common.so", "lib/libc.so.6"])
def test_a_bundle_that_lost_part_of_a_file_is_brought_again(
    board_rig: Any, rig_env: dict[str, str], bundle: Bundle, cache: Path, tmp_path: Path, library: str
) -> None:
    """Only the canary notices: the bundle's folder is there as before."""
    board = connect(Registry(tmp_path).add("board", board_rig.uri), tmp_path)
    try:
        first = deploy(board, "board", cache, DeployOptions(bundle=bundle.path)).deployment
        assert first.reason == f"the bundle {bundle.path.name}, as requested"
        path = f"{board.agent_dir}/{first.bundle}/{library}"
        half = 'head -c $(($(wc -c < "$1") / 2)) "$1" > "$1.half" && cat "$1.half" > "$1" && rm "$1.half"'
        assert board.run(["sh", "-c", half, "sh", path], 60).returncode == 0
        said: list[str] = []
        mended = deploy(board, "board", cache, say=said.append)
        assert any("they do not work any more" in sentence for sentence in said)
        assert mended.sent == (first.bundle,) and mended.deployment.runtime == "ai-edge-litert"
        assert deploy(board, "board", cache).sent == ()
    finally:
        remove_agent(board, "board")
        board.close()

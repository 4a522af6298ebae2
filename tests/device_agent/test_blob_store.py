from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

import pytest
from edgewright.device_agent.blobs import BlobError, BlobStore, check_artifact_name, check_sha


def sha_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put_whole(store: BlobStore, data: bytes) -> str:
    assert store.put(sha_of(data), len(data), 0, data) == (True, len(data))
    return sha_of(data)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "home", quota_bytes=1000)


def test_folders_are_private(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    BlobStore(tmp_path / "home")
    for folder in ("home", "home/blobs", "home/artifacts"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700


def test_a_linked_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "real")
    with pytest.raises(BlobError, match="not a link"):
        BlobStore(tmp_path / "home")


def test_chunks_resume_where_they_ended_even_in_another_agent(store: BlobStore, tmp_path: Path) -> None:
    data = bytes(range(200))
    sha = sha_of(data)
    assert store.put(sha, 200, 0, data[:50]) == (False, 50)
    assert store.put(sha, 200, 120, data[120:]) == (False, 50), "a gap writes nothing and tells where to go on"
    later = BlobStore(tmp_path / "home", quota_bytes=1000)
    assert later.have(sha) == (False, 50)
    assert later.put(sha, 200, 50, data[50:]) == (True, 200)
    assert later.read(sha) == data
    assert later.put(sha, 200, 0, b"ignored") == (True, 200)


def test_a_blob_another_agent_is_stuck_in_is_given_up_on(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgewright.device_agent.blobs._LOCK_S", 0.1)
    store.put(sha_of(b"abc"), 3, 0, b"a")
    [partial] = (tmp_path / "home" / "blobs").glob("*.part")
    with open(partial, "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BlobError, match="another agent has been writing this blob for 0.1 s"):
            store.put(sha_of(b"abc"), 3, 1, b"bc")
    assert store.put(sha_of(b"abc"), 3, 1, b"bc") == (True, 3)


def test_halves_of_deliveries_go_after_a_while(store: BlobStore, tmp_path: Path) -> None:
    artifacts = tmp_path / "home" / "artifacts"
    old, new = artifacts / ".delivery-old", artifacts / ".delivery-new"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    BlobStore(tmp_path / "home")
    assert not old.exists() and new.exists(), "another agent may be writing the new one"


def test_other_content_is_refused_and_discarded(store: BlobStore) -> None:
    sha = sha_of(b"right")
    with pytest.raises(BlobError, match="discarded"):
        store.put(sha, 5, 0, b"wrong")
    assert store.have(sha) == (False, 0)
    with pytest.raises(BlobError, match="not on this device"):
        store.read(sha)


def test_a_push_that_stated_a_larger_size_does_not_block_the_blob(store: BlobStore) -> None:
    data = b"12345"
    store.put(sha_of(data), 500, 0, b"x" * 300)
    assert store.put(sha_of(data), 5, 0, data) == (True, 5)


def test_damage_on_disk_is_noticed(store: BlobStore, tmp_path: Path) -> None:
    sha = put_whole(store, b"a model")
    (tmp_path / "home" / "blobs" / sha).write_bytes(b"a mode1")
    with pytest.raises(BlobError, match="damaged"):
        store.path(sha)
    assert store.have(sha) == (False, 0)


def test_quota_evicts_the_least_recently_used(store: BlobStore, tmp_path: Path) -> None:
    first, second = put_whole(store, b"a" * 400), put_whole(store, b"b" * 400)
    for age, sha in ((200, first), (100, second)):
        path = tmp_path / "home" / "blobs" / sha
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    store.read(first)  # used, so the second is now the oldest
    third = put_whole(store, b"c" * 400)
    assert [store.have(sha)[0] for sha in (first, second, third)] == [True, False, True]


@pytest.mark.parametrize(("size", "offset", "chunk"), [(0, 0, b""), (1001, 0, b"x"), (5, 0, b"123456"), (5, -1, b"1")])
def test_sizes_outside_the_bounds_are_refused(store: BlobStore, size: int, offset: int, chunk: bytes) -> None:
    with pytest.raises(BlobError):
        store.put("0" * 64, size, offset, chunk)


@pytest.mark.parametrize(
    "sha", ["", "0" * 63, "0" * 65, "A" * 64, "../" + "0" * 61, "0" * 63 + "\n", "0" * 64 + "\n", None, 7]
)
def test_blob_names_are_hex_only(store: BlobStore, sha: object) -> None:
    with pytest.raises(BlobError, match="64 lower-case hex digits"):
        check_sha(sha)
    with pytest.raises(BlobError):
        store.have(sha)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../m",
        "/etc/m",
        "a/b",
        ".hidden",
        "-rf",
        "a b",
        "a;b",
        "$(x)",
        "a\n",
        "a\0",
        "é",
        "x" * 128,
        None,
    ],
)
def test_delivery_names_cannot_leave_the_folder(store: BlobStore, tmp_path: Path, name: object) -> None:
    sha = put_whole(store, b"a model")
    with pytest.raises(BlobError, match="127 letters"):
        check_artifact_name(name)
    with pytest.raises(BlobError):
        store.deliver(sha, name)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [sha]


def test_delivery_replaces_a_link_instead_of_following_it(store: BlobStore, tmp_path: Path) -> None:
    sha = put_whole(store, b"a model")
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    (tmp_path / "home" / "artifacts" / "m.tflite").symlink_to(victim)
    path = store.deliver(sha, "m.tflite")
    assert path == (tmp_path / "home" / "artifacts" / "m.tflite").absolute() and not path.is_symlink()
    assert path.read_bytes() == b"a model" and victim.read_bytes() == b"keep"

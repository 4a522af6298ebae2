"""Fingerprints are found once per state of a file, and kept whatever happens."""

import os

import numpy as np
import pytest
from edgewright.data import prints as module
from edgewright.data.layouts.files import FilePictures
from edgewright.data.prints import fingerprints
from edgewright.data.spread import no_progress
from edgewright.files import sha256_of
from PIL import Image

from tests.data.small_folder import drawn, save


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        save(drawn("disc", "red", number), tmp_path / "data" / f"{number}.png")
    return tmp_path / "data"


NAMES = [f"{number}.png" for number in range(5)]


def find(folder, names=NAMES):
    return fingerprints(FilePictures(folder), names, folder, folder.parent / "cache", no_progress)


def test_what_a_fingerprint_holds(folder):
    found, unreadable = find(folder)
    assert unreadable == {} and found["size"].tolist() == [[48, 48]] * 5
    for row, name in enumerate(NAMES):
        assert found[row]["content"].tobytes().hex() == sha256_of((folder / name).read_bytes())
        small = Image.open(folder / name).resize((16, 16), Image.Resampling.BOX)
        assert (found[row]["miniature"] == np.asarray(small)).all()


@pytest.fixture
def looked_at(monkeypatch):
    names, look = [], module._look
    monkeypatch.setattr(module, "_look", lambda *given: names.extend(n for n, _ in given[1]) or look(*given))
    return names


def test_only_new_and_changed_files_are_looked_at(folder, looked_at):
    first, _ = find(folder, NAMES[:4])
    looked_at.clear()
    save(drawn("cross", "blue", 9), folder / "1.png")
    again, _ = find(folder)
    assert looked_at == ["1.png", "4.png"]
    assert (again[[0, 2, 3]] == first[[0, 2, 3]]).all() and (again[1]["content"] != first[1]["content"]).any()
    os.utime(folder / "2.png", ns=(1, 1))
    looked_at.clear()
    find(folder)
    assert looked_at == ["2.png"]


def test_unreadable_files_are_named_and_looked_at_again(folder, looked_at):
    (folder / "3.png").write_bytes(b"no image")
    (folder / "4.png").unlink()
    os.mkfifo(folder / "4.png")
    wanted = {"3.png": "not an image", "4.png": "not a file", "no.png": "not there"}
    assert find(folder, [*NAMES, "no.png"])[1] == wanted
    looked_at.clear()
    assert find(folder, [*NAMES, "no.png"])[1] == wanted and looked_at == ["3.png"]


def test_a_damaged_cache_is_as_good_as_none(folder):
    first, _ = find(folder)
    (kept,) = (folder.parent / "cache").iterdir()
    whole = kept.read_bytes()
    for content in (whole[:200], whole[:-1], b"", b"\x93NUMPY nonsense", whole.replace(b"miniature", b"miniatura")):
        kept.write_bytes(content)
        assert (find(folder)[0] == first).all() and kept.read_bytes() == whole


def test_what_was_found_before_an_interruption_is_kept(folder, monkeypatch, looked_at):
    def stop_after_two(work, items, *_):
        yield slice(0, 2), work(items[:2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "spread", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            find(folder)
    looked_at.clear()
    find(folder)
    assert looked_at == ["2.png", "3.png", "4.png"]

"""Labelled images at one size, decoded once into a mapped file, whole or not at all."""

import numpy as np
import pytest
from edgewright.data import decoded as module
from edgewright.data.decoded import decoded
from edgewright.data.labelled import read_labelled
from edgewright.data.spread import CHUNK
from edgewright.errors import InputError, StorageError
from PIL import Image

from tests.data.small_folder import drawn, save, write_digits, write_shapes


@pytest.fixture
def images(tmp_path):
    return read_labelled(write_digits(tmp_path / "digits"), tmp_path / "cache")


def test_images_at_one_size(images, tmp_path):
    told = []
    pixels = decoded(images, (3, 28, 28), tmp_path / "cache", lambda done, total: told.append((done, total)))
    assert pixels.shape == (60, 28, 28, 3) and pixels.dtype == np.uint8 and isinstance(pixels, np.memmap)
    assert told[-1] == (60, 60)
    for row in (0, 59):
        stored = np.asarray(Image.open(images.root / images.names[row]))
        assert (pixels[row] == stored[..., None]).all()
    assert decoded(images, (1, 14, 20), tmp_path / "cache").shape == (60, 14, 20, 1)


def test_the_middle_is_kept_and_the_shorter_side_scaled(tmp_path):
    folder = write_shapes(tmp_path / "shapes")
    wide = Image.new("RGB", (300, 100), (0, 0, 255))
    wide.paste((255, 0, 0), (100, 0, 200, 100))
    save(wide, folder / "disc" / "wide.png")
    images = read_labelled(folder, tmp_path / "cache")
    pixels = decoded(images, (3, 20, 20), tmp_path / "cache")[images.names.index("disc/wide.png")]
    assert (pixels[:, 1:-1] == (255, 0, 0)).all()


def test_decoding_happens_once(images, tmp_path, monkeypatch):
    first = decoded(images, (3, 28, 28), tmp_path / "cache")
    monkeypatch.setattr(module, "_decode", None)
    assert (decoded(images, (3, 28, 28), tmp_path / "cache") == first).all()


def test_many_images_are_decoded_by_several_processes(tmp_path):
    folder = write_shapes(tmp_path / "shapes", n=120, side=24)
    images = read_labelled(folder, tmp_path / "cache")
    pixels = decoded(images, (3, 24, 24), tmp_path / "cache")
    assert len(images) == 360 > CHUNK
    for row, name in enumerate(images.names):
        assert (pixels[row] == np.asarray(Image.open(folder / name))).all()


def test_a_run_that_was_ended_is_continued(tmp_path, monkeypatch):
    images = read_labelled(write_shapes(tmp_path / "shapes", n=120, side=24), tmp_path / "cache")
    work = module._decode_rows

    def stopped(pictures, path, mode, items):
        if items[0][2]:
            raise KeyboardInterrupt
        work(pictures, path, mode, items)

    monkeypatch.setattr("edgewright.data.spread._in_processes", lambda work, items, parts: (
        (part, work(items[part])) for part in parts))  # fmt: skip
    monkeypatch.setattr(module, "_decode_rows", stopped)
    with pytest.raises(KeyboardInterrupt):
        decoded(images, (3, 24, 24), tmp_path / "cache")
    seen = []
    monkeypatch.setattr(module, "_decode_rows", lambda *given: seen.extend(given[3]) or work(*given))
    pixels = decoded(images, (3, 24, 24), tmp_path / "cache")
    assert [row for _, _, row in seen] == list(range(CHUNK, 360))
    assert (pixels[0] == np.asarray(Image.open(images.root / images.names[0]))).all()
    assert not list((tmp_path / "cache").glob("*.begun.npy")) + list((tmp_path / "cache").glob("*.done.npy"))


def test_an_image_that_changed_meanwhile_is_named(images, tmp_path):
    save(drawn("disc", "red", 1), images.root / images.names[5])
    with pytest.raises(InputError, match=f"image {images.names[5]} has changed since the folder was read; run again"):
        decoded(images, (3, 28, 28), tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").glob("*.npy") if path.stem.isalnum()]


def test_sizes_that_cannot_be_and_full_disks_are_one_sentence(images, tmp_path, monkeypatch):
    for size in ((4, 8, 8), (3, 0, 8)):
        with pytest.raises(InputError, match="decoded to 1 or 3 channels and at least 1 x 1 pixels"):
            decoded(images, size, tmp_path / "cache")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        decoded(images, (3, 8, 8), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.begun.npy"))

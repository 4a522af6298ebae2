"""The files of torchvision's data sets; of CIFAR's, which are pickles, only those that torchvision knows are loaded."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import torchvision.datasets
from edgewright.data.decoded import decoded
from edgewright.data.digits import load_digits
from edgewright.data.labelled import SPLITS, read_labelled
from edgewright.data.layouts import torchvision_files
from edgewright.errors import InputError


@pytest.fixture(autouse=True)
def forgotten():
    torchvision_files._load.cache_clear()


def write_cifar(root, monkeypatch, n=40):
    """A small CIFAR-10 of which torchvision is told the sums; returns its pixels, training images first."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, n, 3, 8, 8), dtype=np.uint8).repeat(4, 3).repeat(4, 4)
    sums = {}
    for name, part in (("data_batch_1", pixels[0]), ("test_batch", pixels[1])):
        content = pickle.dumps({"data": part.reshape(n, -1), "labels": [row % 2 for row in range(n)]})
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    content = pickle.dumps({"label_names": ["airplane", "fire_engine"]})
    (folder / "batches.meta").write_bytes(content)
    kind = torchvision.datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": hashlib.md5(content).hexdigest()})
    return pixels


def test_cifar(tmp_path, monkeypatch):
    pixels = write_cifar(tmp_path / "data", monkeypatch)
    images = read_labelled(tmp_path / "data", tmp_path / "cache")
    assert images.labels == ("airplane", "fire engine") and len(images) == 80
    assert images.names[:2] == ("test/00000", "test/00001")
    assert images.has[:2].tolist() == [[True, False], [False, True]]
    assert len(images.of_split("test")) == 40
    assert all(images.names[row].startswith("train/") for row in images.of_split("validation"))
    found = decoded(images, (3, 32, 32), tmp_path / "cache")
    assert (found[0] == pixels[1][0].transpose(1, 2, 0)).all()
    assert read_labelled(tmp_path / "data" / "cifar-10-batches-py", tmp_path / "cache").digest == images.digest


class Harm:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_a_changed_file_of_cifar_is_refused_and_not_loaded(tmp_path, monkeypatch, name):
    write_cifar(tmp_path / "data", monkeypatch)
    (tmp_path / "data" / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with pytest.raises(InputError, match="the files of CIFAR10 in .* are not as torchvision knows them"):
        read_labelled(tmp_path / "data", tmp_path / "cache")
    assert not (tmp_path / "harm").exists() and not (tmp_path / "cache").exists()


def write_mnist(root, kind="MNIST"):
    raw = root / kind / "raw"
    raw.mkdir(parents=True)
    splits = load_digits()
    for prefix, digits in (("train", splits.validation), ("t10k", splits.test)):
        n = len(digits.labels)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, n, 28, 28) + digits.images.tobytes())
        labels = digits.labels.astype(np.uint8)
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, n) + labels.tobytes())
    return root


@pytest.mark.parametrize(("kind", "label"), [("MNIST", "zero"), ("FashionMNIST", "T-shirt top")])
def test_mnist(tmp_path, kind, label):
    images = read_labelled(write_mnist(tmp_path / "data", kind), tmp_path / "cache")
    assert images.labels[0] == label and len(images.labels) == 10
    assert [len(images.of_split(name)) for name in SPLITS][2] == 1000 and len(images) == 1200
    assert decoded(images, (1, 28, 28), tmp_path / "cache").shape == (1200, 28, 28, 1)


def test_files_of_mnist_that_are_damaged_or_not_unpacked(tmp_path):
    raw = write_mnist(tmp_path / "data") / "MNIST" / "raw"
    whole = (raw / "train-images-idx3-ubyte").read_bytes()
    (raw / "train-images-idx3-ubyte").write_bytes(whole[:1000])
    with pytest.raises(InputError, match="the files of MNIST in .*; download and unpack them again"):
        read_labelled(tmp_path / "data", tmp_path / "cache")
    (raw / "train-images-idx3-ubyte").unlink()
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(whole))
    with pytest.raises(InputError, match="the files of MNIST in .*; download and unpack them again"):
        read_labelled(tmp_path / "data", tmp_path / "cache")

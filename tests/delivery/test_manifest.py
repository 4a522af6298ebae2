"""The file beside a model, and that one of an earlier version still opens."""

import json
from pathlib import Path

import numpy as np
import pytest
from edgewright.delivery.manifest import heading, manifest_path, read_manifest, versions, write_manifest
from edgewright.delivery.prediction import DeliveredModel, predict_each
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import InputError
from PIL import Image

STORED = Path(__file__).with_name("stored") / "version1.tflite"
TASK = numvqa.SPACE.parse("only two, even")


def test_what_is_written_is_read_again(tmp_path):
    model = tmp_path / "m.tflite"
    write_manifest(model, {**heading(), "versions": versions()})
    manifest = read_manifest(manifest_path(model))
    assert (manifest["format"], manifest["version"]) == ("edgewright-artifact", 1)
    assert manifest["versions"]["numpy"] == np.__version__ and manifest["versions"]["python"].startswith("3.")
    assert manifest_path(model).name == "m.tflite.manifest.json"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"{", "is not a JSON file"), (b"\xff", "is not a JSON file"), (b"[1]", "is not the manifest of a model")],
)
def test_a_file_that_is_no_manifest_is_named(tmp_path, content, sentence):
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_manifest(tmp_path / "m.json")
    with pytest.raises(InputError, match=r"no manifest .*gone.json, which says how to read the model"):
        read_manifest(tmp_path / "gone.json")


def test_a_model_of_an_earlier_version_still_predicts(local_session, domain, tmp_path):
    """Written by `customize` before delivery had a room of its own."""
    model = DeliveredModel.read(STORED)
    assert model.task == "only two, even"
    examples = domain.examples(TASK, "test", 40, np.random.default_rng(0))
    paths = [tmp_path / f"{index}.png" for index in range(len(examples.images))]
    for path, image in zip(paths, examples.images, strict=True):
        Image.fromarray((255 * image[0]).round().astype(np.uint8)).save(path)
    answers = [found.answer for found in predict_each(model, paths, local_session)]
    right = [("no", "yes")[answer] == found for answer, found in zip(examples.answers, answers, strict=True)]
    told = json.loads(manifest_path(STORED).read_text())["measured"]["accuracy"]
    assert sum(right) / len(right) > told - 0.1

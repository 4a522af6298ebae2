"""A delivered model at work on this machine's real agent: boxes in the file's own pixels, and answers."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.converters.torch_to_tflite import convert
from edgewright.data.pictures import read_picture
from edgewright.delivery.prediction import DeliveredModel, check_images, predict_each
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.domains.detection.boxes import Grid, decode
from edgewright.domains.detection.letterbox import letterbox
from edgewright.errors import InputError, MeasurementError
from PIL import Image

from tests.delivery.delivered import (
    ATTROD,
    CATEGORIES,
    NUMVQA,
    SIDE,
    ColourDetector,
    deliver,
    detector_file,
    grey,
    judge_file,
    untrained_detector,
    write_picture,
)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    place = tmp_path_factory.mktemp("workspace")
    with open_session(Registry(place).get("local"), place) as opened:
        yield opened


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return DeliveredModel.read(deliver(tmp_path_factory.mktemp("model") / "m.tflite", detector_file(), ATTROD))


def found_by(model, session, *images, **options):
    found = predict_each(model, images, session, **options)
    return [[(each.category, each.box) for each in one.boxes] for one in found]


def test_boxes_are_in_the_pixels_of_the_file(detector, session, tmp_path):
    """192 x 96 pixels become 64 x 32: a cell of the square is 24 pixels of the file, right and down."""
    image = write_picture(tmp_path / "wide.png", 192, 96, ((96, 24, 120, 48), "red"), ((24, 72, 48, 96), "blue"))
    (found,) = found_by(detector, session, image)
    assert sorted(found) == [("blue thing", (24, 72, 48, 96)), ("red thing", (96, 24, 120, 48))]


def test_a_small_file_is_enlarged_and_its_boxes_are_not(detector, session, tmp_path):
    image = write_picture(tmp_path / "small.png", 16, 32, ((4, 8, 8, 12), "red"))
    assert found_by(detector, session, image) == [[("red thing", (4, 8, 8, 12))]]


def test_only_what_the_task_asks_for_is_found(detector, session, tmp_path):
    image = write_picture(tmp_path / "green.png", 64, 64, ((8, 8, 16, 16), "lime"))
    assert found_by(detector, session, image) == [[]]


def test_the_least_score_decides_what_counts(detector, session, tmp_path):
    image = write_picture(tmp_path / "dim.png", 64, 64, ((8, 8, 16, 16), "red"), ((32, 32, 40, 40), "#800000"))
    scores = [each.score for each in next(predict_each(detector, [image], session, 0.1)).boxes]
    assert scores == pytest.approx([1 / (1 + np.exp(-4)), 0.5], abs=0.01)
    assert len(found_by(detector, session, image, min_score=0.6)[0]) == 1
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="`min_score` must lie within 0 and 1, such as 0.3; got"):
            found_by(detector, session, image, min_score=wrong)


def test_a_photograph_is_looked_at_upright(detector, session, tmp_path):
    """Phones store pictures lying, with a tag that says so."""
    image = write_picture(tmp_path / "lying.png", 64, 32, ((8, 0, 16, 8), "red"))
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned clockwise by a quarter
    with Image.open(image) as lying:
        lying.save(tmp_path / "tagged.png", exif=tag)
    (prediction,) = predict_each(detector, [tmp_path / "tagged.png"], session)
    assert prediction.picture.shape == (64, 32, 3)
    assert [each.box for each in prediction.boxes] == [(24, 8, 32, 16)]


def test_many_images_keep_their_order(detector, session, tmp_path, monkeypatch):
    monkeypatch.setattr("edgewright.delivery.prediction._AT_ONCE", 2)
    boxes = [(8 * k, 0, 8 * k + 8, 8) for k in range(5)]
    images = [write_picture(tmp_path / f"{k}.png", 64, 64, (box, "red")) for k, box in enumerate(boxes)]
    assert found_by(detector, session, *images) == [[("red thing", box)] for box in boxes]


def test_what_is_found_in_the_grey_beside_the_picture_is_no_object(detector, tmp_path):
    """The outputs are made up here: the real model sees nothing in grey."""
    image = write_picture(tmp_path / "wide.png", 64, 16)

    def invented(inputs):
        outputs = np.full((1, 64, 7), -9, np.float32)
        outputs[..., :4] = 0
        outputs[0, [8, 24], 4] = 5  # cells (0, 8) and (0, 24): the picture ends at 16
        return outputs

    (found,) = detector.reader.predict([image], invented, 0.3)
    assert [each.box for each in found.boxes] == [(0, 8, 8, 16)]


def test_an_untrained_detector_says_on_the_device_what_it_says_in_torch(session, tmp_path):
    network, outputs = untrained_detector(), ATTROD | {"strides": [8, 16]}
    path = deliver(tmp_path / "m.tflite", convert(network, torch.zeros(1, 3, SIDE, SIDE)), outputs)
    image = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 100, 3), np.uint8)).save(image)
    found = next(predict_each(DeliveredModel.read(path), [image], session, 0.01)).boxes
    square = letterbox(read_picture(image), SIDE)
    with torch.inference_mode():
        raw = network(torch.from_numpy(square.pixels)[None].float() / 255).numpy()
    expected = decode(raw, Grid(SIDE, (8, 16)), (0, 2), 0.01)[0]
    boxes = square.to_file(expected.boxes).clip(0, [100, 50, 100, 50])
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    assert len(found) == inside.sum() > 5
    assert np.array([each.score for each in found]) == pytest.approx(expected.scores[inside], abs=1e-4)
    assert np.array([each.box for each in found[:3]]) == pytest.approx(boxes[inside][:3], abs=0.1)


@pytest.mark.parametrize(
    ("level", "size", "answer"), [(250, (56, 56), "yes"), (20, (56, 56), "no"), (250, (90, 70), "yes")]
)
def test_a_question_is_answered_with_a_probability(session, tmp_path, level, size, answer):
    model = DeliveredModel.read(deliver(tmp_path / "m.tflite", judge_file(), NUMVQA, task="has, 3"))
    (found,) = predict_each(model, [grey(tmp_path / "grey.png", level, size)], session)
    expected = 1 / (1 + np.exp(-8 * abs(level / 255 - 0.5)))
    assert found.answer == answer and found.probability == pytest.approx(expected, abs=1e-3)


def test_a_model_that_takes_other_inputs_than_its_manifest_says_fails_in_a_sentence(session, tmp_path):
    image = write_picture(tmp_path / "a.png", 64, 64)
    smaller = DeliveredModel.read(deliver(tmp_path / "m.tflite", detector_file(), ATTROD | {"side": 32}))
    with pytest.raises(MeasurementError, match="does not run on device 'local'"):
        next(predict_each(smaller, [image], session))
    finer = DeliveredModel.read(deliver(tmp_path / "m.tflite", detector_file(), ATTROD | {"strides": [4]}))
    with pytest.raises(InputError, match="are not those of a detector with 256 anchor points"):
        next(predict_each(finer, [image], session))
    three = DeliveredModel.read(deliver(tmp_path / "m.tflite", judge_file(), NUMVQA | {"answers": ["a", "b", "c"]}))
    with pytest.raises(InputError, match=r"outputs of shape \(1, 2\) are not the answers a, b, c"):
        next(predict_each(three, [image], session))


def test_outputs_that_are_no_numbers_are_an_error(session, tmp_path):
    class Broken:
        device_name = "local"

        def put_blob(self, data):
            return session.put_blob(data)

        def run(self, job, inputs):
            return session.run(job, inputs) * np.float32("nan")

    model = DeliveredModel.read(deliver(tmp_path / "m.tflite", judge_file(), NUMVQA))
    with pytest.raises(MeasurementError, match="gives no finite numbers on 'local'"):
        next(predict_each(model, [grey(tmp_path / "a.png", 9)], Broken()))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"outputs": None}, r'm.tflite.manifest.json does not say how to read the model \("outputs" is missing\)'),
        ({"outputs": []}, r'\("outputs" is missing\); make the model again with: edgewright customize'),
        ({"hashes": {"model_sha256": "0" * 64}}, r"is not the model that .* describes \(sha256 [0-9a-f]{12}, "),
        ({"hashes": None}, "copy both again from where the model was made"),
        ({"outputs": {"name": "poems"}}, "of the task domain 'poems', which this version does not know"),
        ({"outputs": {"name": ["attrod"]}}, "of the task domain"),
        ({"outputs": {**ATTROD, "asked": [3]}}, r"cannot be used \(asked \[3\] of 3 categories\)"),
        ({"outputs": {**ATTROD, "asked": []}}, r"cannot be used \(asked \[\] of 3 categories\)"),
        ({"outputs": {**ATTROD, "side": "64"}}, "cannot be used"),
        ({"outputs": {**ATTROD, "strides": [48]}}, "a side of 64 pixels is no multiple of the strides"),
        ({"outputs": {"name": "attrod", "categories": list(CATEGORIES)}}, r"cannot be used \('asked' is missing\)"),
        ({"outputs": {"name": "numvqa", "answers": ["yes"]}}, "cannot be used"),
    ],
)
def test_a_manifest_that_does_not_go_with_the_model(tmp_path, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        DeliveredModel.read(deliver(tmp_path / "m.tflite", b"a model", ATTROD, **changes))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"{", "is not a JSON file"), (b"\xff", "is not a JSON file"), (b"[1]", "is not the manifest of a model")],
)
def test_a_file_that_is_no_manifest(tmp_path, content, sentence):
    path = deliver(tmp_path / "m.tflite", b"a model", ATTROD)
    (tmp_path / "m.tflite.manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        DeliveredModel.read(path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read model .*no\.tflite: No such file or directory; check the path"):
        DeliveredModel.read(tmp_path / "no.tflite")
    path = deliver(tmp_path / "m.tflite", b"a model", ATTROD)
    (tmp_path / "m.tflite.manifest.json").unlink()
    with pytest.raises(InputError, match=r"no manifest .*m\.tflite\.manifest\.json, which says how to read the model"):
        DeliveredModel.read(path)
    with pytest.raises(InputError, match=r"image .*no\.png cannot be read"):
        check_images([tmp_path / "no.png"])


def test_results_are_json(detector, session, tmp_path):
    image = write_picture(tmp_path / "a.png", 64, 64, ((8, 8, 16, 16), "red"))
    (found,) = predict_each(detector, [image], session)
    (box,) = found.boxes
    assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == {
        "image": str(image), "boxes": [{"category": "red thing", "score": 0.982, "box": [8, 8, 16, 16]}],
    }  # fmt: skip
    assert replace(box, box=(1 / 3, 0, 1, 1)).to_json()["box"] == [0.33, 0, 1, 1]


def test_the_stand_in_finds_pure_colours_only():
    """The tests above rest on it."""
    image = torch.zeros(1, 3, SIDE, SIDE)
    image[0, :, 8:16, 8:16] = 1.0  # white
    image[0, 0, 16:24, 8:16] = 1.0  # red
    scores = ColourDetector()(image)[0, :, 4:].sigmoid()
    assert (scores > 0.3).nonzero().tolist() == [[2 * 8 + 1, 0]]

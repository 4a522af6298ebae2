import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys

import pytest
from edgewright.data.digits import load_digits
from edgewright.domains.detection.coco.file import CocoFile, detection_set
from edgewright.domains.detection.letterbox import load_letterboxed
from edgewright.domains.detection.objects import DetectionImage
from edgewright.domains.detection.scenes import digit_set as coloured_digits
from edgewright.domains.detection.scenes.digit_set import DigitSet, write_digit_set
from edgewright.errors import InputError

SET = DigitSet("train", 24, side=64, seed=5, crowd_share=0.3)


@pytest.fixture(scope="module")
def splits():
    return load_digits()


@pytest.fixture(scope="module")
def written(tmp_path_factory, splits):
    return write_digit_set(tmp_path_factory.mktemp("digits"), SET, splits)


def contents(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_it_is_read_like_coco(written):
    coco = CocoFile.read(written)
    found = detection_set(coco)
    assert len(found.images) == 24 and coco.has_colours and not len(found.left_out) and found.n_degenerate == 0
    assert coco.categories == ("digit-1", "digit-3", "digit-6", "digit-8")
    for image in found.images:
        boxed = load_letterboxed(image, 64)
        assert boxed.scale == (1.0, 1.0) and boxed.boxes.shape == (len(image.objects), 4)


def test_pycocotools_reads_it_and_its_masks_fill_their_boxes(written):
    from pycocotools.coco import COCO

    coco = COCO(str(written.annotations))
    assert len(coco.getImgIds()) == 24 and len(coco.getCatIds()) == 10
    rows = coco.loadAnns(coco.getAnnIds())
    assert len(rows) > 24 and any(row["iscrowd"] for row in rows) and min(row["id"] for row in rows) > 0
    for row in rows:
        mask = coco.annToMask(row)
        x, y, width, height = row["bbox"]
        assert mask.sum() == row["area"] == mask[y : y + height, x : x + width].sum()
        edges = mask[y], mask[y + height - 1], mask[:, x], mask[:, x + width - 1]
        assert all(edge.any() for edge in edges)


def test_a_perfect_detector_scores_one_in_pycocotools_own_evaluation(written):
    """The truth as detections: ids, boxes and crowds are as the evaluation takes them."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO(str(written.annotations))
    rows = [row for row in truth.dataset["annotations"] if not row["iscrowd"]]
    kept = ("image_id", "category_id", "bbox")
    found = truth.loadRes([{key: row[key] for key in kept} | {"score": 1.0} for row in rows])
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[1] == pytest.approx(1.0)  # AP at 0.5


def test_the_same_set_is_the_same_bytes_and_another_seed_or_split_is_not(written, tmp_path, splits):
    again = write_digit_set(tmp_path / "again", SET, splits)
    assert contents(again.images.parent) == contents(written.images.parent)
    for other in (DigitSet("train", 3, 64, 6, crowd_share=0.3), DigitSet("test", 3, 64, 5, crowd_share=0.3)):
        folder = write_digit_set(tmp_path / f"{other.seed}", other, splits)
        assert not set(contents(folder.images).values()) & set(contents(written.images).values())


def test_a_larger_set_begins_with_the_smaller(written, tmp_path, splits):
    larger = write_digit_set(tmp_path, DigitSet("train", 30, 64, 5, crowd_share=0.3), splits)
    assert contents(written.images).items() <= contents(larger.images).items()


def test_a_split_draws_its_own_digits(splits, monkeypatch):
    drawn = []
    monkeypatch.setattr(coloured_digits, "draw_scene", lambda digits, *rest: drawn.append(digits))
    for split in coloured_digits.SPLITS:
        DigitSet(split, 1).scene(getattr(splits, split), 0)
    assert [len(digits.labels) for digits in drawn] == [3800, 200, 1000]


KILLED = """
import io, os, pickle, signal, sys
from pathlib import Path
from PIL import Image
from edgewright.domains.detection.scenes import digit_set as coloured_digits

save = Image.Image.save

def save_or_die(image, path, format):
    if not path.name.startswith(".000013.png"):
        return save(image, path, format)
    whole = io.BytesIO()
    save(image, whole, format)
    path.write_bytes(whole.getvalue()[:100])
    os.kill(os.getpid(), signal.SIGKILL)

Image.Image.save = save_or_die
coloured_digits._PART = 5
coloured_digits.write_digit_set(Path(sys.argv[1]), *pickle.loads(sys.stdin.buffer.read()))
"""


def test_a_kill_in_the_middle_of_an_image_leaves_no_half_file_and_a_rerun_goes_on(tmp_path, splits, monkeypatch):
    monkeypatch.setattr(coloured_digits, "_PART", 5)
    wanted, killed = DigitSet("train", 24, 64, 5, crowd_share=0.3), tmp_path / "killed"
    words = [sys.executable, "-c", KILLED, str(killed)]
    done = subprocess.run(words, input=pickle.dumps((wanted, splits)), check=False)
    assert done.returncode == -signal.SIGKILL and not (killed / "annotations" / "instances_train.json").exists()
    stamps = {path: path.stat().st_mtime_ns for path in (killed / "train").glob("??????.png")}
    assert [path.name for path in sorted(stamps)] == [f"{number:06d}.png" for number in range(13)]
    assert len(list((killed / "train").iterdir())) == 14  # the half is there, under a name that nobody reads
    for path in stamps:
        assert load_letterboxed(DetectionImage(path, 64, 64, ()), 64).pixels.any()
    write_digit_set(killed, wanted, splits)
    write_digit_set(tmp_path / "whole", wanted, splits)
    assert contents(killed) == contents(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == stamps[path] for path in sorted(stamps)[:10])


def test_a_finished_set_is_left_alone_and_a_lost_image_drawn_again(tmp_path, splits):
    folder = write_digit_set(tmp_path, DigitSet("test", 4, 32), splits)
    before = contents(tmp_path)
    os.unlink(folder.images / "000002.png")
    stamp = folder.annotations.stat().st_mtime_ns
    write_digit_set(tmp_path, DigitSet("test", 4, 32), splits)
    assert contents(tmp_path) == before and folder.annotations.stat().st_mtime_ns == stamp


def test_another_set_in_the_same_place_is_refused(tmp_path, splits):
    write_digit_set(tmp_path, DigitSet("test", 2, 32), splits)
    write_digit_set(tmp_path, DigitSet("train", 2, 32), splits)  # another split may lie beside it
    with pytest.raises(InputError, match=r"test.json is of another set \(seed 0, asked for is 1\); choose another"):
        write_digit_set(tmp_path, DigitSet("test", 2, 32, seed=1), splits)
    data = json.loads((tmp_path / "annotations" / "instances_test.json").read_bytes())
    (tmp_path / "annotations" / "instances_test.json").write_text(json.dumps(data | {"info": {}}))
    with pytest.raises(InputError, match="is of another set; choose another folder"):
        write_digit_set(tmp_path, DigitSet("test", 2, 32), splits)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": "val"}, "unknown split 'val'; there are: train, validation, test"),
        ({"n_images": 0}, "the number of images must lie within 1 and a million, got 0"),
        ({"side": 8}, "the side must lie within 32 and 1024 pixels, got 8"),
        ({"seed": -1}, "a seed must be 0 or more, got -1"),
        ({"crowd_share": 1.5}, "crowd_share must lie within 0 and 1, got 1.5"),
    ],
)
def test_a_set_that_cannot_be(options, sentence):
    with pytest.raises(InputError, match=sentence):
        DigitSet(**{"split": "train", "n_images": 10, **options})


def test_colours_are_written_for_all_and_some_have_none(written):
    rows = json.loads(written.annotations.read_bytes())["annotations"]
    colours = [row["colour"] for row in rows if not row["iscrowd"]]
    assert None in colours and len(set(colours)) > 4
    assert all(row["colour"] is None for row in rows if row["iscrowd"])

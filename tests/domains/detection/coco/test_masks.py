"""COCO's segmentations as masks: polygons and run lengths, and the box where they make no sense."""

import numpy as np
import pytest
from edgewright.domains.detection.coco.file import CocoFile
from edgewright.domains.detection.coco.masks import encode_mask, object_mask

from tests.domains.detection.small_coco import change, name

OBJECT = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9]}


def masks(coco_folder):
    coco = CocoFile.read(coco_folder)
    frames = {row.id: row.frame for row in coco.images if row.frame}
    return {row.id: object_mask(row, frames[key]) for key in frames for row in coco.objects.get(key, ())}


def filled(x0, y0, x1, y1):
    mask = np.zeros((48, 64), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_every_kind_of_segmentation_becomes_a_mask(coco_folder):
    got = masks(coco_folder)
    assert np.array_equal(got[10], filled(4, 8, 24, 20))  # a polygon
    assert np.array_equal(got[11], filled(40, 24, 50, 44))  # run lengths
    assert np.array_equal(got[80], filled(5, 5, 45, 25))  # compressed run lengths
    assert np.array_equal(got[21], filled(10, 30, 30, 40))  # none: the box
    assert np.array_equal(got[61], filled(10, 10, 40, 30))  # an empty list: the box


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[float("nan")] * 6],
        [[0, 0, 1e15, 0, 1e15, 5]],
        ["polygon"],
        7,
        {"size": [48, 64], "counts": []},
        {"size": [48, 64], "counts": ""},
        {"size": [48, 64], "counts": [3, 4]},
        {"size": [48, 64], "counts": [-1, 3073]},
        {"size": [48, 64], "counts": [10**30]},
        {"size": [48, 64], "counts": [0, 10**13]},
        {"size": [48, 64], "counts": "PPPPPP"},
        {"size": [48, 64], "counts": "\u00e9"},
        {"size": [9, 9], "counts": [81]},
        {"counts": [3072]},
    ],
)
def test_a_segmentation_that_makes_no_sense_falls_back_to_the_box(coco_folder, segmentation):
    image = {"id": 1, "file_name": name(1), "width": 64, "height": 48}
    change(coco_folder, images=[image], annotations=[{**OBJECT, "segmentation": segmentation}])
    assert np.array_equal(masks(coco_folder)[1], filled(0, 0, 9, 9))


def test_compressed_run_lengths_are_pycocotools_own():
    """Random masks of many run lengths, decoded by both."""
    from edgewright.domains.detection.coco.masks import _unpacked
    from pycocotools import mask as rle

    for seed in range(20):
        rng = np.random.default_rng(seed)
        mask = rng.random((37, 53)) < rng.random()
        runs = _unpacked(encode_mask(mask)["counts"])
        decoded = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(53, 37).T
        assert np.array_equal(decoded, mask)
        assert np.array_equal(rle.decode(encode_mask(mask)), mask)

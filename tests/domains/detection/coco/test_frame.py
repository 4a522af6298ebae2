"""Photographs with an EXIF orientation, and annotation files that do not know their images' sizes."""

import json

import numpy as np
import pytest
from edgewright.domains.detection.coco.file import CocoFile, CocoFolder, detection_set
from edgewright.domains.detection.coco.geometry import read_geometries
from edgewright.domains.detection.colours.cache import annotated_set
from edgewright.domains.detection.colours.pixels import PixelColours
from edgewright.domains.detection.letterboxed import load_images
from edgewright.errors import InputError
from PIL import Image

UPRIGHT = (96, 64)  # width, height
BOX = (16, 8, 48, 24)  # of a red rectangle in the upright picture
T = Image.Transpose
STORED_BY = {2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90,
             7: T.TRANSVERSE, 8: T.ROTATE_270}  # fmt: skip
"""How an upright picture is turned for a file, so that its EXIF orientation undoes it."""


def red_box(pixels):
    """x0, y0, x1, y1 of what is red in `(H, W, 3)`."""
    red = (pixels[..., 0] > 150) & (pixels[..., 1:].max(2) < 110)  # (H, W)
    (rows,), (columns,) = red.any(1).nonzero(), red.any(0).nonzero()
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def photograph(path, orientation, size=UPRIGHT, box=BOX):
    """Write a JPEG that viewers show as one of `size` with a red rectangle; gives its stored size and box."""
    picture = Image.new("RGB", size, (128, 128, 128))
    picture.paste((200, 20, 40), box)
    stored = picture.transpose(STORED_BY[orientation]) if orientation > 1 else picture
    tag = Image.Exif()
    tag[0x0112] = orientation
    stored.save(path, quality=95, subsampling=0, exif=tag)
    return stored.size, red_box(np.asarray(stored))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "annotations").mkdir()
    return CocoFolder(tmp_path / "train", tmp_path / "annotations" / "instances_train.json")


def annotate(folder, images, boxes, **more):
    """Annotate images by number, each with one car at a box x0, y0, x1, y1."""
    rows = [
        {"id": number, "image_id": number, "category_id": 3, "bbox": [x0, y0, x1 - x0, y1 - y0],
         "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]], **more}
        for number, (x0, y0, x1, y1) in enumerate((tuple(map(int, box)) for box in boxes), start=1)
    ]  # fmt: skip
    data = {"images": images, "annotations": rows, "categories": [{"id": 3, "name": "car"}]}
    folder.annotations.write_text(json.dumps(data))


def image(number, width=None, height=None):
    sizes = {} if width is None else {"width": width, "height": height}
    return {"id": number, "file_name": f"{number}.jpg", **sizes}


def check(folder, cache, upright=UPRIGHT):
    """The box covers the red rectangle, in the picture's pixels and in letterboxed ones."""
    found = detection_set(CocoFile.read(folder, cache=cache))
    letterboxed = load_images(found, 48, cache)
    for row, each in enumerate(found.images):
        assert (each.width, each.height) == upright
        assert each.objects[0].box == pytest.approx(BOX, abs=1)
        seen = red_box(letterboxed.pixels[row].transpose(1, 2, 0))
        assert letterboxed.boxes[row, 0] == pytest.approx(seen, abs=1)
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_covers_its_object_whichever_way_the_photograph_lies(folder, tmp_path, orientation):
    """Declared are the stored size, the upright one, none, -1, and the upright one swapped where that is told apart."""
    stored, box = photograph(folder.images / "1.jpg", orientation)
    for number in range(2, 6):
        photograph(folder.images / f"{number}.jpg", orientation)
    turned = stored != UPRIGHT
    images = [image(1, *stored), image(2, *UPRIGHT), image(3), image(4, -1, -1), image(5, *UPRIGHT[::-1])]
    boxes = [box if turned else BOX, BOX, BOX, BOX, box if turned else BOX]
    annotate(folder, images, boxes, colour="crimson")
    assert len(check(folder, tmp_path).images) == 5


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_colours_are_looked_for_where_the_object_is(folder, tmp_path, orientation):
    stored, box = photograph(folder.images / "1.jpg", orientation)
    annotate(folder, [image(1, *stored)], [box if stored != UPRIGHT else BOX])
    (found,) = annotated_set(CocoFile.read(folder), PixelColours(), tmp_path).images
    assert found.objects[0].colour == "crimson" and found.objects[0].box == pytest.approx(BOX, abs=1)


@pytest.mark.parametrize("orientation", [3, 6])
def test_where_the_size_does_not_tell_boxes_are_those_that_viewers_show(folder, tmp_path, orientation):
    """A square photograph, or one that lies upside down, has the same size either way."""
    photograph(folder.images / "1.jpg", orientation, (96, 96))
    annotate(folder, [image(1, 96, 96)], [BOX], colour="crimson")
    check(folder, tmp_path, (96, 96))


@pytest.mark.parametrize("sizes", [("96", "64"), (96.0, 64.0), ("", 64), (None, None), (0, 0), ("wide", float("nan"))])
def test_sizes_as_other_tools_write_them(folder, tmp_path, sizes):
    photograph(folder.images / "1.jpg", 1)
    annotate(folder, [{**image(1), "width": sizes[0], "height": sizes[1]}], [BOX], colour="crimson")
    check(folder, tmp_path)


def test_a_box_ends_at_the_border_of_an_image_of_unknown_size(folder):
    photograph(folder.images / "1.jpg", 1)
    annotate(folder, [image(1)], [(90, 60, 200, 200)], colour=None)
    (found,) = detection_set(CocoFile.read(folder)).images
    assert found.objects[0].box == (90, 60, 96, 64)


def test_an_image_of_quite_another_size_is_left_out_and_told(folder):
    for number in range(1, 12):
        photograph(folder.images / f"{number}.jpg", 6)
    images = [image(number, *UPRIGHT) for number in range(1, 11)]
    annotate(folder, [*images, image(11, 30, 20)], [BOX] * 11, colour=None)
    found = detection_set(CocoFile.read(folder))
    assert found.left_out.reasons == {"11.jpg": "96 x 64 pixels, not 30 x 20"} and len(found.images) == 10


def test_a_file_that_is_not_an_image_is_told(folder):
    (folder.images / "1.jpg").write_text("<html>not found</html>")
    annotate(folder, [image(1)], [BOX], colour=None)
    with pytest.raises(InputError, match=r"1 of 1 images of .* left out: 1\.jpg \(not an image\); that is") as error:
        detection_set(CocoFile.read(folder))
    assert "\n" not in str(error.value)


def test_ids_that_are_strings(folder, tmp_path):
    """Also such as are a number in one list and its digits in another."""
    photograph(folder.images / "1.jpg", 1)
    photograph(folder.images / "2.jpg", 1)
    row = {"category_id": "3", "bbox": [16, 8, 32, 16], "iscrowd": "0"}
    annotations = [{**row, "id": "a-1", "image_id": "1"}, {**row, "id": "7", "image_id": "IMG_2"}]
    data = {"images": [image(1), {**image(2), "id": "IMG_2"}], "annotations": annotations}
    folder.annotations.write_text(json.dumps(data | {"categories": [{"id": 3, "name": "car"}]}))
    coco = CocoFile.read(folder)
    for _ in range(2):  # looked at, then from the cache
        found = annotated_set(coco, PixelColours(), tmp_path)
        assert [[each.colour for each in shown.objects] for shown in found.images] == [["crimson"], ["crimson"]]


def test_files_are_looked_at_again_only_when_they_change(folder, tmp_path, monkeypatch):
    opened = []

    def look(path):
        opened.append(path.name)
        return read(path)

    read = read_geometries.__globals__["read_geometry"]
    monkeypatch.setitem(read_geometries.__globals__, "read_geometry", look)
    for number in (1, 2):
        photograph(folder.images / f"{number}.jpg", 1)
    (folder.images / "3.jpg").write_text("no image")
    names = ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    first = read_geometries(folder.images, names, tmp_path)
    assert opened == names[:3] and first["3.jpg"].reason == "not an image" and first["4.jpg"].reason == "not there"
    photograph(folder.images / "2.jpg", 6, (200, 100))
    second = read_geometries(folder.images, names, tmp_path)
    assert opened[3:] == ["2.jpg", "3.jpg"] and second["1.jpg"] == first["1.jpg"]
    assert second["2.jpg"].upright_size == (200, 100) and second["2.jpg"].size == (100, 200)
    (kept,) = tmp_path.glob("*.geometry.json")
    kept.write_text("{")
    assert read_geometries(folder.images, names[:2], tmp_path) == {name: second[name] for name in names[:2]}

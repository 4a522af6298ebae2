import json

import pytest
from edgewright.domains.detection.coco.file import CocoFile, CocoFolder, detection_set, splits
from edgewright.domains.detection.objects import DetectionObject
from edgewright.errors import InputError

from tests.domains.detection.small_coco import N_IMAGES, SPLIT, change, name


def colourless(coco):
    return {row.id: None for rows in coco.objects.values() for row in rows}


def test_a_split_is_read(coco_folder):
    coco = CocoFile.read(CocoFolder.of(coco_folder.images.parent, SPLIT))
    found = detection_set(coco, colourless(coco))
    assert coco.categories == ("person", "bicycle", "car", "motorcycle")  # the file has a dog too
    by_name = {str(image.path.relative_to(coco_folder.images)): image for image in found.images}
    assert by_name[name(1)].objects == (
        DetectionObject("car", (4, 8, 24, 20), None),
        DetectionObject("person", (40, 24, 50, 44), None),
    )
    assert by_name[name(2)].objects[0] == DetectionObject("person", (32, 2, 62, 22), None, crowd=True)
    assert by_name[name(3)].objects == () == by_name[name(7)].objects
    assert (by_name[name(1)].width, by_name[name(1)].height) == (64, 48)
    assert splits(coco_folder.images.parent) == [SPLIT]


def test_what_is_not_there_or_has_no_area_is_left_out_and_told(coco_folder):
    coco = CocoFile.read(coco_folder)
    found = detection_set(coco, colourless(coco), unreadable={4})
    assert len(found.images) == N_IMAGES - 2 and found.n_degenerate == 2
    assert found.left_out.sentence() == (
        f"2 of 24 images of {coco_folder.images} are left out: {name(4)} (cannot be read), {name(5)} (not there)"
    )
    assert found.counts()["car", None] == 2 and found.counts()["person", None] == 1


def test_too_many_missing_images_are_an_error(coco_folder):
    for number in (8, 9):
        (coco_folder.images / name(number)).unlink()
    coco = CocoFile.read(coco_folder)
    with pytest.raises(InputError, match=r"3 of 24 images .* more than 10%: complete the folder first"):
        detection_set(coco, colourless(coco))


def test_objects_without_colours_name_the_command_that_finds_them(coco_folder):
    with pytest.raises(InputError, match="have no colours yet; run: edgewright data annotate .*coco"):
        detection_set(CocoFile.read(coco_folder))


def test_colours_written_in_the_file_are_taken(coco_folder):
    rows = json.loads(coco_folder.annotations.read_bytes())["annotations"]
    change(coco_folder, annotations=[{**row, "colour": "lime"} for row in rows])
    coco = CocoFile.read(coco_folder, ["car"])
    assert coco.has_colours and set(detection_set(coco).counts()) == {("car", "lime")}


def test_a_category_it_has_not(coco_folder):
    with pytest.raises(InputError, match="has no category 'cra'; did you mean 'car'"):
        CocoFile.read(coco_folder, ["cra"])
    assert CocoFile.read(coco_folder, ["dog"]).objects[7][0].category == "dog"


def test_a_split_it_has_not(coco_folder):
    root = coco_folder.images.parent
    with pytest.raises(InputError, match=rf"no annotation file .*instances_val.json; splits of .* are: {SPLIT}"):
        CocoFolder.of(root, "val")
    coco_folder.images.rename(root / "moved")
    with pytest.raises(InputError, match=f"no folder of images .*{SPLIT}"):
        CocoFolder.of(root, SPLIT)


OUTSIDE = ["../secret.jpg", "/etc/passwd", "more/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", "C:/x.jpg", "", "a\0b"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_file_name_does_not_lead_out_of_the_folder(coco_folder, path):
    change(coco_folder, images=[{"id": 1, "file_name": path, "width": 64, "height": 48}], annotations=[])
    with pytest.raises(InputError, match="of image 1 leads out of the folder of images"):
        CocoFile.read(coco_folder)


IMAGE = {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}
OBJECT = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"images": {}}, "it needs the lists images, annotations, categories"),
        ({"images": [{**IMAGE, "id": ""}]}, "expected an id, a whole number or a string, got ''"),
        ({"images": [{**IMAGE, "id": True}]}, "expected an id, a whole number or a string, got True"),
        ({"images": [{**IMAGE, "id": 1.5}]}, "expected an id, a whole number or a string, got 1.5"),
        ({"images": [{**IMAGE, "id": None}]}, "expected an id, a whole number or a string, got None"),
        ({"images": [IMAGE, IMAGE]}, "two images have the same id"),
        ({"images": [IMAGE, {**IMAGE, "id": "1"}]}, "two images have the same id"),
        ({"images": [{"id": 1}]}, "field 'file_name' is missing"),
        ({"images": [3]}, "is not in COCO's format"),
        ({"images": [IMAGE], "annotations": [{**OBJECT, "image_id": 2}]}, "on the unknown image 2"),
        ({"images": [IMAGE], "annotations": [{**OBJECT, "category_id": 5}]}, "has the unknown category 5"),
        ({"images": [IMAGE], "annotations": [OBJECT, OBJECT]}, "two annotations have the id 1"),
        ({"images": [IMAGE], "annotations": [{**OBJECT, "bbox": [0, 0, 9]}]}, "not enough values"),
        ({"images": [IMAGE], "annotations": [{**OBJECT, "bbox": None}]}, "is not in COCO's format"),
        ({"images": [IMAGE], "annotations": [{**OBJECT, "colour": "blue"}]}, "unknown colour 'blue'; known are: white"),
    ],
)
def test_a_file_that_is_not_as_coco_has_it_is_one_sentence(coco_folder, changes, sentence):
    change(coco_folder, **changes)
    with pytest.raises(InputError, match=sentence) as error:
        CocoFile.read(coco_folder)
    assert str(coco_folder.annotations) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_json(coco_folder, content):
    coco_folder.annotations.write_bytes(content)
    with pytest.raises(InputError, match="is not a JSON file|is not in COCO's format"):
        CocoFile.read(coco_folder)

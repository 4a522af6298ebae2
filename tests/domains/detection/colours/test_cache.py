import json

import pytest
from edgewright.domains.detection.coco.file import CocoFile
from edgewright.domains.detection.colours import cache as colour_cache
from edgewright.domains.detection.colours.cache import annotate, annotated_set, cache_path
from edgewright.domains.detection.colours.pixels import PixelColours
from edgewright.errors import InputError

from tests.domains.detection.small_coco import name


class Counting:
    """Pixel colours that count how many objects they looked at, and fail at one if told to."""

    name = "counting 1"

    def __init__(self, fail_at=None):
        self.seen, self.fail_at = 0, fail_at

    def colour_of(self, pixels, mask, category):
        self.seen += 1
        if self.seen == self.fail_at:
            raise KeyboardInterrupt
        return PixelColours().colour_of(pixels, mask, category)


def test_colours_are_those_that_were_painted(coco_folder, tmp_path):
    found = annotated_set(CocoFile.read(coco_folder), PixelColours(), tmp_path)
    by_name = {str(image.path.relative_to(coco_folder.images)): image.objects for image in found.images}
    assert [each.colour for each in by_name[name(1)]] == ["crimson", "white"]
    assert [(each.colour, each.crowd) for each in by_name[name(2)]] == [(None, True), ("lime", False)]
    assert [each.colour for each in by_name[name(6)]] == [None]  # blue
    assert found.counts()["motorcycle", "charcoal"] == 17
    assert set(found.left_out.reasons) == {name(4), name(5)}


def test_what_is_known_is_not_looked_at_again(coco_folder, tmp_path):
    coco, first, second = CocoFile.read(coco_folder), Counting(), Counting()
    before = annotated_set(coco, first, tmp_path)
    assert annotated_set(coco, second, tmp_path) == before
    assert (first.seen, second.seen) == (21, 0)


def test_more_categories_add_to_what_is_known(coco_folder, tmp_path):
    annotate(CocoFile.read(coco_folder, ["car", "person"]), Counting(), tmp_path)
    more = Counting()
    colours = annotate(CocoFile.read(coco_folder, ["car", "person", "dog"]), more, tmp_path)
    assert more.seen == 1 and 70 in colours.by_annotation


def test_an_interrupted_pass_goes_on(coco_folder, tmp_path, monkeypatch):
    coco = CocoFile.read(coco_folder)
    with pytest.raises(KeyboardInterrupt):
        annotate(coco, Counting(fail_at=10), tmp_path)
    rest = Counting()
    colours = annotate(coco, rest, tmp_path)
    assert rest.seen == 21 - 9
    assert colours == annotate(coco, Counting(), tmp_path / "elsewhere")


def test_a_kill_costs_what_was_not_saved_yet(coco_folder, tmp_path, monkeypatch):
    """As a kill leaves it: what was saved after every five images, and nothing at the end."""
    monkeypatch.setattr(colour_cache, "_SAVE_EVERY", 5)
    coco, saved = CocoFile.read(coco_folder), []
    path = cache_path(coco, Counting(), tmp_path)

    def keep(done, total):
        if path.exists():
            saved.append(path.read_bytes())

    annotate(coco, Counting(), tmp_path, keep)
    path.write_bytes(saved[7])  # ten images saved
    known = json.loads(saved[7])["colours"]
    rest = Counting()
    annotate(coco, rest, tmp_path)
    assert 0 < len(known) < 21 and rest.seen == 21 - len(known)


def test_an_image_that_was_mended_is_looked_at(coco_folder, tmp_path):
    coco = CocoFile.read(coco_folder)
    assert annotate(coco, Counting(), tmp_path).unreadable == {4, 5}
    (coco_folder.images / name(4)).write_bytes((coco_folder.images / name(8)).read_bytes())
    again = Counting()
    assert annotate(coco, again, tmp_path).unreadable == {5} and again.seen == 1


def test_another_annotation_file_and_another_annotator_have_colours_of_their_own(coco_folder, tmp_path):
    coco = CocoFile.read(coco_folder)
    coco_folder.annotations.write_text(coco_folder.annotations.read_text() + "\n")
    paths = {cache_path(coco, Counting(), tmp_path), cache_path(coco, PixelColours(), tmp_path)}
    again = CocoFile.read(coco_folder)
    paths |= {cache_path(again, Counting(), tmp_path), cache_path(coco, PixelColours(0.5), tmp_path)}
    assert len(paths) == 4


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": 2}', "blue"])
def test_a_damaged_cache_is_named(coco_folder, tmp_path, damage):
    coco = CocoFile.read(coco_folder)
    annotate(coco, Counting(), tmp_path)
    path = cache_path(coco, Counting(), tmp_path)
    if damage == "blue":
        damage = json.dumps(json.loads(path.read_text()) | {"colours": {"1": "blue"}})
    path.write_text(damage)
    with pytest.raises(InputError, match=f"colours in {path} cannot be used .* remove the file to find them anew"):
        annotate(coco, Counting(), tmp_path)

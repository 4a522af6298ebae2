import numpy as np
import pytest
from edgewright.data.digits import Digits, load_digits
from edgewright.domains.detection.attrod import COLOURS, DIGIT_CATEGORIES
from edgewright.domains.detection.colours.pixels import PixelColours, group_of
from edgewright.domains.detection.scenes import scene as digit_scenes
from edgewright.domains.detection.scenes.scene import CATEGORIES, EVEN, NATURAL, Frequencies, draw_scene
from edgewright.domains.detection.scenes.textures import background
from edgewright.errors import InputError

SIDE = 96


@pytest.fixture(scope="module")
def digits():
    return load_digits().train


@pytest.fixture(scope="module")
def scenes(digits):
    return [draw_scene(digits, SIDE, EVEN, np.random.default_rng([1, index])) for index in range(250)]


def crop(scene, each):
    rows, columns = (np.flatnonzero(each.mask.any(axis)) for axis in (1, 0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return scene.pixels[window], each.mask[window]


def test_the_pixel_annotator_finds_the_true_colours(scenes):
    """Of every colour more than 97 % of the objects, hidden parts, edges, grain and light notwithstanding."""
    right = {colour: [] for colour in (*COLOURS, None)}
    for scene in scenes:
        for each in scene.objects:
            found = PixelColours().colour_of(*crop(scene, each), each.category)
            right[each.colour].append(found == each.colour)
    shares = {str(colour): float(np.mean(found)) for colour, found in right.items()}
    print({name: f"{share:.1%}" for name, share in shares.items()})
    assert min(map(len, right.values())) > 30 and min(shares.values()) > 0.97


def test_there_are_none_to_five_objects_and_each_can_be_seen(scenes):
    counts = [len(scene.objects) for scene in scenes]
    assert set(counts) == {0, 1, 2, 3, 4, 5} and 1.8 < np.mean(counts) < 2.8
    for scene in scenes:
        masks = [each.mask for each in scene.objects]
        assert all(mask.sum() > 15 for mask in masks)
        assert not masks or np.sum(masks, 0).max() == 1  # a pixel shows one object
        assert scene.pixels.shape == (SIDE, SIDE, 3) and scene.pixels.dtype == np.uint8


def test_digits_partly_hide_each_other(scenes):
    """Boxes overlap in many scenes, which those of digits laid side by side do not."""

    def box(mask):
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        return rows[0], rows[-1], columns[0], columns[-1]

    def overlap(a, b):
        return min(a[1], b[1]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[2], b[2])

    together = [[box(each.mask) for each in scene.objects] for scene in scenes if len(scene.objects) > 1]
    share = np.mean([any(overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]) for boxes in together])
    assert 0.3 < share < 0.9


@pytest.mark.parametrize("height", [9.0, 17.0, 60.0])
def test_nothing_but_its_ink_shows_where_a_digit_lies(digits, height):
    for index in range(20):
        rng = np.random.default_rng([5, index])
        opacity = digit_scenes._patch(digit_scenes._example(digits, index % 10, rng), height, rng)
        border = np.concatenate([opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1]])
        assert border.max() < 0.01 and opacity.max() > 0.99


def test_a_digit_that_nobody_could_see_is_not_drawn(digits, monkeypatch):
    monkeypatch.setattr(digit_scenes, "background", lambda side, rng: np.ones((side, side, 3)))
    white, black = (Frequencies(EVEN.digits, tuple(float(i == index) for i in range(6))) for index in (0, 2))
    for frequencies, drawn in ((white, False), (black, True)):
        scenes = [draw_scene(digits, 48, frequencies, np.random.default_rng([6, index])) for index in range(10)]
        assert any(scene.objects for scene in scenes) == drawn


def test_sizes_vary(scenes):
    heights = [np.ptp(np.flatnonzero(each.mask.any(1))) + 1 for scene in scenes for each in scene.objects]
    assert min(heights) < 0.2 * SIDE and max(heights) > 0.5 * SIDE


@pytest.mark.parametrize("frequencies", [NATURAL, EVEN])
def test_digits_and_colours_are_as_frequent_as_asked_for(digits, frequencies):
    """Sides of 48 pixels are enough to count; what finds no place is left out, so the shares hold but nearly."""
    drawn = [draw_scene(digits, 48, frequencies, np.random.default_rng([2, index])) for index in range(400)]
    objects = [each for scene in drawn for each in scene.objects]
    colours = [np.mean([each.colour == colour for each in objects]) for colour in (*COLOURS, None)]
    kinds = [np.mean([each.category == name for each in objects]) for name in CATEGORIES]
    assert colours == pytest.approx(frequencies.colours, abs=0.05) and kinds == pytest.approx(
        frequencies.digits, abs=0.05
    )


def test_uneven_frequencies_leave_some_tasks_little_data():
    share = {name: NATURAL.digits[CATEGORIES.index(name)] for name in DIGIT_CATEGORIES}
    common, rare = share["digit-1"] * NATURAL.colours[2], share["digit-8"] * NATURAL.colours[4]
    assert common / rare == pytest.approx(27)


def test_backgrounds_hold_every_colour_so_that_colour_alone_finds_nothing():
    groups = [group_of((background(SIDE, np.random.default_rng(index)) * 255).astype(np.uint8)) for index in range(100)]
    shares = np.array([np.bincount(found.ravel(), minlength=6) for found in groups]) / SIDE**2  # (100, 6)
    assert (shares.mean(0) > 0.03).all() and ((shares > 0.02).mean(0) > 0.15).all()


def test_a_crowd_is_one_region_of_one_kind_apart_from_the_objects(digits):
    drawn = [draw_scene(digits, SIDE, EVEN, np.random.default_rng([3, index]), 1.0) for index in range(20)]
    for scene in drawn:
        crowds = [each for each in scene.objects if each.crowd]
        assert len(crowds) == 1 and crowds[0].colour is None
        assert not any((each.mask & crowds[0].mask).any() for each in scene.objects if not each.crowd)


def test_only_the_given_digits_are_drawn(digits):
    """Digits that are all one filled square make every object a filled parallelogram."""
    square = np.zeros((10, 28, 28), np.uint8)
    square[:, 6:22, 6:22] = 255
    marked = Digits(square, np.arange(10))
    scene = next(
        scene
        for index in range(20)
        if len((scene := draw_scene(marked, SIDE, EVEN, np.random.default_rng([4, index]))).objects) == 1
    )
    mask = scene.objects[0].mask
    filled = np.array([np.ptp(np.flatnonzero(row)) + 1 == row.sum() for row in mask if row.any()])
    assert filled.all() and mask.sum() > 100


def test_the_same_generator_draws_the_same_scene_whatever_the_global_one(digits):
    np.random.seed(1)
    first = draw_scene(digits, SIDE, EVEN, np.random.default_rng(9))
    np.random.seed(2)
    second, other = (draw_scene(digits, SIDE, EVEN, np.random.default_rng(seed)) for seed in (9, 10))
    assert np.array_equal(first.pixels, second.pixels) and not np.array_equal(first.pixels, other.pixels)
    assert [each.category for each in first.objects] == [each.category for each in second.objects]


def test_frequencies_must_be_shares():
    with pytest.raises(InputError, match="frequencies of colours must be 6 shares that sum to one"):
        Frequencies(EVEN.digits, (0.5, 0.5))

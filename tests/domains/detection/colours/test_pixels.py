import numpy as np
import pytest
from edgewright.domains.detection.attrod import COLOUR_WORDS, COLOURS
from edgewright.domains.detection.colours import pixels as colours
from edgewright.domains.detection.colours.pixels import PixelColours, group_of, lab_to_srgb, srgb_to_lab
from PIL import ImageColor


def group(name):
    return (*COLOURS, None)[int(group_of(np.array(ImageColor.getrgb(name), np.uint8)))]


def polar(name):
    lightness, a, b = srgb_to_lab(np.array(ImageColor.getrgb(name), np.uint8))
    return {"L": lightness, "C": np.hypot(a, b), "h": np.degrees(np.arctan2(b, a)) % 360}


def test_lab_of_the_primaries_is_the_textbooks():
    got = srgb_to_lab(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]], np.uint8))
    wanted = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0]]
    assert got == pytest.approx(np.array(wanted), abs=0.06)


def test_lab_and_back_is_the_same():
    pixels = np.random.default_rng(0).random((50, 3))
    assert lab_to_srgb(srgb_to_lab(pixels)) == pytest.approx(pixels, abs=1e-9)


@pytest.mark.parametrize(
    ("colour", "names"),
    [
        ("white", "white snow whitesmoke ivory beige gainsboro"),
        ("charcoal", "black dimgray gray darkgray slategray darkslategray"),
        ("crimson", "crimson red firebrick darkred maroon tomato pink hotpink"),
        ("bronze", "peru chocolate saddlebrown sienna orange gold yellow khaki tan"),
        ("lime", "lime limegreen green darkgreen olivedrab yellowgreen seagreen lightgreen"),
        (None, "blue purple magenta teal cyan skyblue turquoise violet"),
    ],
)
def test_known_colours(colour, names):
    wrong = {name: group(name) for name in names.split() if group(name) != colour}
    assert not wrong


def test_the_darkest_blues_are_charcoal_as_they_look():
    assert group("#000030") == "charcoal" and group("midnightblue") is None


@pytest.mark.parametrize(
    ("border", "axis", "below", "above"),
    [
        (colours.WHITE_LIGHTNESS, "L", "gray", "white"),
        (colours.DARK_LIGHTNESS, "L", "black", "maroon"),
        (colours.GREY_CHROMA, "C", "beige", "cornsilk"),
        (colours.HUE_BORDERS[0], "h", "orangered", "sienna"),
        (colours.HUE_BORDERS[1], "h", "yellow", "olivedrab"),
        (colours.HUE_BORDERS[2], "h", "mediumspringgreen", "mediumaquamarine"),
        (colours.HUE_BORDERS[3], "h", "magenta", "mediumvioletred"),
    ],
)
def test_borders_lie_halfway_between_named_colours(border, axis, below, above):
    assert border == pytest.approx((polar(below)[axis] + polar(above)[axis]) / 2, abs=0.5)


def test_what_people_call_a_colour_is_in_its_group():
    """Apart from CSS's "brown", which is a red, and silver: the flat tone is light, silver things are mostly grey."""
    known = {word for word in COLOUR_WORDS if word in ImageColor.colormap} - {"brown", "silver"}
    assert len(known) > 10 and {word for word in known if group(word) != COLOUR_WORDS[word]} == set()


def crop(*parts):
    """A crop of 100 columns, painted from the left: (columns, colour), ..."""
    return np.concatenate([np.full((20, n, 3), ImageColor.getrgb(name), np.uint8) for n, name in parts], 1)


@pytest.mark.parametrize(
    ("parts", "colour"),
    [
        ([(100, "red")], "crimson"),
        ([(70, "white"), (30, "black")], "white"),
        ([(50, "white"), (50, "black")], None),  # no clear lead
        ([(36, "red"), (22, "white"), (22, "black"), (20, "lime")], None),  # no clear share
        ([(60, "blue"), (40, "red")], None),  # mostly of no group
        ([(60, "darkred"), (40, "pink")], "crimson"),  # shades of one group add up
    ],
)
def test_the_colour_of_an_object_is_that_of_most_of_it_if_clearly_so(parts, colour):
    pixels = crop(*parts)
    assert PixelColours().colour_of(pixels, np.ones(pixels.shape[:2], bool), "car") == colour


def test_only_what_the_mask_covers_counts_and_not_its_edge():
    pixels = crop((40, "lime"), (20, "blue"), (40, "lime"))
    mask = np.zeros((20, 100), bool)
    mask[:, 38:62] = True  # the blue bar and two columns beside it on each side
    shares = PixelColours().shares(pixels, mask)
    assert shares[-1] == pytest.approx(20 / 22) and shares.sum() == pytest.approx(1)


def test_a_thin_object_has_nothing_but_its_edge():
    pixels = crop((49, "white"), (2, "red"), (49, "white"))
    mask = np.zeros((20, 100), bool)
    mask[:, 49:51] = True
    assert PixelColours().colour_of(pixels, mask, "car") == "crimson"


def test_nothing_has_no_colour():
    assert PixelColours().colour_of(crop((9, "red")), np.zeros((20, 9), bool), "car") is None


def test_large_objects_are_sampled():
    pixels = np.concatenate([np.full((400, 300, 3), value, np.uint8) for value in (250, 20)], 1)
    everything = PixelColours(max_pixels=10**6).shares(pixels, np.ones((400, 600), bool))
    assert PixelColours().shares(pixels, np.ones((400, 600), bool)) == pytest.approx(everything, abs=0.01)

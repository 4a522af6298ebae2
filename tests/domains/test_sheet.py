"""A contact sheet shows every picture over its caption."""

import numpy as np
from edgewright.domains.sheet import LINE, MARGIN, TILE, write_sheet
from PIL import Image


def test_pictures_lie_side_by_side_over_their_captions(tmp_path):
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    for index, colour in enumerate(colours):
        Image.new("RGB", (40 + 20 * index, 40), colour).save(tmp_path / f"{index}.png")
    write_sheet(tmp_path / "sheet.png", [(tmp_path / f"{index}.png", "cat (99.0%)") for index in range(3)])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * (TILE + LINE + MARGIN) + MARGIN, 2 * (TILE + MARGIN) + MARGIN, 3)
    for index, colour in enumerate(colours):
        left, top = MARGIN + index % 2 * (TILE + MARGIN), MARGIN + index // 2 * (TILE + LINE + MARGIN)
        assert tuple(sheet[top + TILE // 2, left + TILE // 2]) == colour
        caption = sheet[top + TILE : top + TILE + LINE, left : left + TILE]
        assert caption.min() < 100 and caption.max() == 255


def test_a_long_caption_keeps_its_ends_within_the_picture(tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    write_sheet(tmp_path / "sheet.png", [(tmp_path / "a.png", "a very long label of a product " * 3 + "(12.0%)")])
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[1] == TILE + 2 * MARGIN and sheet[:, -MARGIN:].min() == 255

"""Batches for detectors: the same step is the same batch, and boxes go where the picture goes."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from edgewright.domains.detection.attrod import COLOURS, Query, attrod_space, tasks
from edgewright.domains.detection.batches import DetectionSource, augmented_tasks
from edgewright.domains.detection.boxes import Grid
from edgewright.domains.detection.domain import AttrOd
from edgewright.domains.detection.letterboxed import LetterboxedImages
from edgewright.domains.detection.objective import DetectionObjective
from edgewright.domains.detection.settings import DetectionSettings
from edgewright.training.objective import Sampling

CATEGORIES = ("bicycle", "car", "person")
SPACE = attrod_space(CATEGORIES)
SIDE, N_IMAGES = 64, 12
WHITE, NONE = COLOURS.index("white"), len(COLOURS)
SAMPLING = Sampling(batch_size=16, min_limit=0.1, n_augmented_tasks=50, augmented_share=0.5)
VARIED, AS_IT_IS = DetectionSettings(), DetectionSettings(augmentation=False)


def invented_images():
    """Image i is grey with a white rectangle, which is a white object of category i mod 3; the last has none."""
    rng = np.random.default_rng(0)
    low, size = rng.integers(8, 28, (N_IMAGES, 2)), rng.integers(12, 26, (N_IMAGES, 2))
    pixels = np.full((N_IMAGES, 3, SIDE, SIDE), 128, np.uint8)
    for image, (x, y), (width, height) in zip(pixels[:-1], low, size, strict=False):
        image[:, y : y + height, x : x + width] = 255
    boxes = np.zeros((N_IMAGES, 2, 4), np.float32)
    boxes[:, 0] = np.concatenate([low, low + size], 1)
    category, colour = np.full((N_IMAGES, 2), -1), np.full((N_IMAGES, 2), NONE)
    category[:-1, 0], colour[:-1, 0] = np.arange(N_IMAGES - 1) % 3, WHITE
    crowd = np.zeros((N_IMAGES, 2), bool)
    return LetterboxedImages(CATEGORIES, pixels, np.arange(N_IMAGES), boxes, category, colour, crowd)


@pytest.fixture
def letterboxed():
    return invented_images()


def source(letterboxed, settings=VARIED, asked=None, sampling=SAMPLING):
    return DetectionSource(sampling, settings, letterboxed, SPACE, tasks(SPACE) if asked is None else asked)


def batch_of(source, *step):
    return source.draw(*step).to(torch.device("cpu"), torch.float32)


def equal(one, other):
    return all(torch.equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))


def test_a_step_is_the_same_batch_whenever_it_is_drawn(letterboxed):
    whole = batch_of(source(letterboxed), "joint", 3)
    assert equal(whole, batch_of(source(letterboxed), "joint", 3))
    for other in (
        batch_of(source(letterboxed), "joint", 4), batch_of(source(letterboxed), "pretrain", 3),
        batch_of(source(letterboxed, sampling=replace(SAMPLING, seed=1)), "joint", 3),
    ):  # fmt: skip
        assert not torch.equal(whole.images, other.images)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_part_of_a_batch_is_that_part_of_the_whole(letterboxed, mirror):
    drawn = source(letterboxed, DetectionSettings(mirror=mirror))
    whole = batch_of(drawn, "joint", 0)
    for part in (slice(0, 8), slice(8, 16), slice(5, 6)):
        found = batch_of(drawn, "joint", 0, part)
        for each in fields(found):
            assert torch.equal(getattr(found, each.name), getattr(whole, each.name)[part]), each.name


def test_shapes_and_ranges(letterboxed):
    batch = batch_of(source(letterboxed), "joint", 0)
    assert batch.images.shape == (16, 3, SIDE, SIDE) and 0 <= batch.images.min() and batch.images.max() <= 1
    assert batch.tasks.shape == (16, 8) and batch.asked.shape == (16, 3) and batch.boxes.shape == (16, 2, 4)
    assert ((batch.limits >= SAMPLING.min_limit) & (batch.limits <= 1)).all()
    moved = batch.to(torch.device("cpu"), torch.float64)
    assert moved.images.dtype == moved.tasks.dtype == torch.float64 and moved.wanted.dtype == torch.bool


def bright_box(image):
    """x0, y0, x1, y1 of the white rectangle, to a pixel; None without one."""
    bright = image.mean(0) > 0.75
    rows, columns = bright.any(1).nonzero()[:, 0], bright.any(0).nonzero()[:, 0]
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if len(rows) else None


@pytest.mark.parametrize("mirror", [False, True])
def test_boxes_go_with_the_picture(letterboxed, mirror):
    moved = 0
    for step in range(4):
        batch = batch_of(source(letterboxed, DetectionSettings(mirror=mirror)), "joint", step)
        for image, boxes, there in zip(batch.images, batch.boxes, batch.there, strict=True):
            if not there[0]:
                continue
            assert boxes[0].tolist() == pytest.approx([float(value) for value in bright_box(image)], abs=1.2)
            moved += 1
    assert moved > 30


def which_images(letterboxed, step):
    """The images of a step's batch, as they were before any variation."""
    originals = torch.from_numpy(letterboxed.pixels).float() / 255
    plain = batch_of(source(letterboxed, AS_IT_IS), "joint", step).images
    return [next(row for row in range(N_IMAGES) if torch.equal(image, originals[row])) for image in plain]


def test_without_augmentation_pictures_are_as_they_were(letterboxed):
    batch = batch_of(source(letterboxed, AS_IT_IS), "joint", 0)
    rows = which_images(letterboxed, 0)
    assert (batch.boxes.numpy() == letterboxed.boxes[rows]).all()


def test_half_of_the_pictures_are_mirrored_without_augmentation_too(letterboxed):
    mirrored = plain = 0
    for step in range(4):
        straight = batch_of(source(letterboxed, AS_IT_IS), "joint", step)
        batch = batch_of(source(letterboxed, replace(AS_IT_IS, mirror=True)), "joint", step)
        for image, before in zip(batch.images, straight.images, strict=True):
            mirrored += bool(torch.allclose(image, before.flip(2), atol=1e-4))
            plain += bool(torch.allclose(image, before, atol=1e-4))
        widths = [each.boxes[:, 0, 2] - each.boxes[:, 0, 0] for each in (batch, straight)]
        assert torch.allclose(*widths)
    assert mirrored > 20 and plain > 20 and mirrored + plain >= 64


def test_an_object_that_is_mostly_out_of_the_picture_is_no_longer_there(letterboxed):
    boxes, pixels = letterboxed.boxes.copy(), letterboxed.pixels.copy()
    boxes[:, 0] = [0, 20, 5, 40]  # at the edge: shifted by up to a tenth of the side it is gone
    batch = batch_of(source(replace(letterboxed, boxes=boxes, pixels=pixels)), "joint", 0)
    left = (batch.boxes[:, 0, 2] - batch.boxes[:, 0, 0]) / 5
    real = torch.tensor([row != N_IMAGES - 1 for row in which_images(letterboxed, 0)])
    assert not batch.there[left < 0.3, 0].any() and batch.there[real & (left > 0.6), 0].all()
    assert (left < 0.3).any() and (batch.boxes >= 0).all() and not batch.wanted[left < 0.3].any()


def test_an_ignored_region_stays_one_however_little_is_left_of_it(letterboxed):
    crowd, boxes = letterboxed.crowd.copy(), letterboxed.boxes.copy()
    boxes[:, 0], crowd[:-1, 0] = [0, 20, 5, 40], True
    batch = batch_of(source(replace(letterboxed, boxes=boxes, crowd=crowd), asked=[SPACE.task(("car",))]), "joint", 0)
    plain = source(replace(letterboxed, boxes=boxes, crowd=crowd), AS_IT_IS, [SPACE.task(("car",))])
    assert torch.equal(batch.ignored, batch_of(plain, "joint", 0).ignored) and batch.ignored.any()
    assert not batch.there.any() and not batch.wanted.any()


def test_wanted_is_what_the_sample_s_own_task_asks_for(letterboxed):
    batch = batch_of(source(letterboxed), "joint", 1)
    categories, colours = (group.attributes for group in SPACE.groups)
    for row, names in enumerate(batch.tasks):
        asked = [name for name, on in zip((*categories, *colours), names.tolist(), strict=True) if on]
        query = Query.of(SPACE.task(asked)) if len(asked) else None
        assert [categories[k] for k in batch.asked[row].nonzero()[:, 0]] == [c for c in categories if c in asked]
        kind = int(batch.category[row, 0])
        fits = kind >= 0 and categories[kind] in query.categories and (not query.colours or "white" in query.colours)
        assert bool(batch.wanted[row, 0]) == (fits and bool(batch.there[row, 0]))


def test_most_pictures_hold_what_is_asked_for_where_there_are_any(letterboxed):
    tasks_only = replace(SAMPLING, augmented_share=0.0)
    drawn = source(letterboxed, AS_IT_IS, [SPACE.task(("car", "white"))], tasks_only)
    share = np.mean([batch_of(drawn, "joint", step).wanted.any(1).float().mean() for step in range(10)])
    assert 0.6 < share < 0.9
    nothing = source(letterboxed, AS_IT_IS, [SPACE.task(("car", "lime"))], tasks_only)
    assert not batch_of(nothing, "joint", 0).wanted.any()


def test_augmented_tasks_are_new_combinations(letterboxed):
    known = {frozenset(task.attributes) for task in tasks(SPACE)}
    found = [frozenset(names) for names in augmented_tasks(SPACE)]
    assert len(set(found)) == len(found) and not set(found) & known
    assert {frozenset({"bicycle", "car", "white"}), frozenset({"bicycle", "car", "person", "lime"})} <= set(found)
    without = source(letterboxed, sampling=replace(SAMPLING, augmented_share=0.0))
    assert len(without.queries) == len(known) and len(source(letterboxed).queries) == len(known) + 50


def objective(letterboxed):
    return DetectionObjective(AttrOd(CATEGORIES, Grid(SIDE, (8, 16)), lambda split: letterboxed, "invented images"))


def test_pretraining_ignores_crowds_of_every_category(letterboxed):
    """And a task's training those of its own: the others are mistakes."""
    crowd, boxes = np.zeros_like(letterboxed.crowd), letterboxed.boxes.copy()
    crowd[:-1, 0], boxes[:, 0] = True, [0, 0, SIDE, SIDE]
    judged = objective(replace(letterboxed, crowd=crowd, boxes=boxes))
    drawn = source(judged.domain.images("train"), AS_IT_IS, [SPACE.task(("car",))])
    batch = batch_of(drawn, "pretrain", 0)
    outputs = torch.zeros(16, 80, 4 + judged.n_pretrain_outputs)
    crowded = batch.category[:, 0] >= 0
    assert crowded.any() and not batch.ignored.all()
    only = type(batch)(*(getattr(batch, each.name)[crowded] for each in fields(batch)))
    assert judged.pretrain_loss(outputs[crowded], only).loss == 0
    assert judged.task_loss(outputs[crowded][..., :7], only).loss > 0


def test_pretraining_has_a_score_for_each_category_and_colour(letterboxed):
    judged = objective(letterboxed)
    assert judged.n_outputs == 3 and judged.n_pretrain_outputs == 3 + 6
    batch = batch_of(judged.source(SAMPLING), "pretrain", 0)
    outputs = torch.randn(16, 80, 4 + 9, requires_grad=True)
    scored = judged.pretrain_loss(outputs, batch)
    scored.loss.backward()
    assert outputs.grad.isfinite().all() and outputs.grad.any() and 0 <= scored.score <= 1

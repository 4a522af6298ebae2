"""Batches hold images that answer their tasks, all answers alike, broad and narrow tasks alike."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.domains.images.batches import LabelSource
from edgewright.domains.images.objective import LabelObjective
from edgewright.domains.images.pool import shares
from edgewright.domains.images.question import N_YES_NO, Question
from edgewright.domains.images.settings import ImageSettings
from edgewright.errors import InputError
from edgewright.tasks.domain import trained_tasks
from edgewright.training.objective import Sampling
from edgewright.training.rng import JOINT, PRETRAIN

PLAIN = ImageSettings(mirror=False, shift=0)
CPU = torch.device("cpu")
SAMPLING = Sampling(seed=1, batch_size=64, n_augmented_tasks=50)


def test_every_answer_is_right_and_asked_for(domain):
    batch = LabelSource(SAMPLING, PLAIN, domain, trained_tasks(domain)).draw(JOINT, 0).to(CPU, torch.float32)
    assert batch.asked.gather(1, batch.answers[:, None]).all()
    encodings = {domain.space.encode(task.attributes).tobytes(): task for task in domain.tasks}
    known = 0
    for row in range(64):
        task = encodings.get(batch.tasks[row].numpy().tobytes())
        if task is not None:
            question = domain.space.question(task)
            answer = question.answers(batch.has[row : row + 1].numpy())[0]
            assert question.output_rows[answer] == batch.answers[row], task
            known += 1
    assert known > 20


def test_images_are_those_of_the_training_split_as_they_are(domain):
    batch = LabelSource(SAMPLING, PLAIN, domain, trained_tasks(domain)).draw(JOINT, 3).to(CPU, torch.float32)
    train = domain.as_floats(domain.images.of_split("train"))
    for image in batch.images.numpy():
        assert np.isclose(train, image).all((1, 2, 3)).any()


def test_yes_and_no_are_equally_frequent(domain):
    source = LabelSource(replace(SAMPLING, batch_size=400), PLAIN, domain, [domain.space.parse("disc")])
    batch = source.draw(JOINT, 0).to(CPU, torch.float32)
    mine = batch.asked[:, 0]
    assert 0.4 < float((batch.answers[mine] == 1).float().mean()) < 0.6


def test_pre_training_looks_at_every_image_before_any_comes_twice(domain):
    n = len(domain.images.of_split("train"))
    source = LabelSource(replace(SAMPLING, batch_size=n), PLAIN, domain, trained_tasks(domain))
    seen = [source.draw(PRETRAIN, step).to(CPU, torch.float32) for step in range(2)]
    for batch in seen:
        assert len({image.tobytes() for image in batch.images.numpy()}) == n
    assert not torch.equal(seen[0].images, seen[1].images)


def test_variations_change_images_and_nothing_else(domain):
    settings = ImageSettings(erase=0.5, shift=0.2)
    tasks = trained_tasks(domain)
    sources = (LabelSource(SAMPLING, each, domain, tasks) for each in (settings, PLAIN))
    varied, plain = (source.draw(JOINT, 0).to(CPU, torch.float32) for source in sources)
    assert not torch.equal(varied.images, plain.images)
    assert torch.equal(varied.tasks, plain.tasks) and torch.equal(varied.answers, plain.answers)
    cut = LabelSource(SAMPLING, ImageSettings(least_area=0.3), domain, tasks).draw(JOINT, 0).to(CPU, torch.float32)
    assert cut.images.shape == plain.images.shape and not torch.equal(cut.images, plain.images)


def test_kinds_and_sizes_are_drawn_alike():
    questions = [Question(must=frozenset({i})) for i in range(10)]
    questions += [Question(which=(0, 1)), *(Question(which=(0, 1, i)) for i in range(2, 8))]
    share = shares(questions, which_share=0.6)
    assert share.sum() == pytest.approx(1) and share[10:].sum() == pytest.approx(0.6)
    by_size = Counter()
    for question, each in zip(questions[10:], share[10:], strict=True):
        by_size[len(question.which)] += each
    assert by_size[2] == pytest.approx(by_size[3]) == pytest.approx(0.3)


def test_tasks_without_images_of_every_answer_are_refused(domain):
    contradiction = domain.space.parse("disc, not blue, not green, not red")
    with pytest.raises(InputError, match="'disc, not blue, not green, not red'.*data check"):
        LabelObjective(domain).source(SAMPLING, [contradiction])


def test_the_answers_of_a_label_task_are_its_own_rows(domain):
    task = domain.space.parse("disc | cross")
    outputs = domain.outputs(task)
    assert outputs.labels == ("cross", "disc")  # in the order of the labels
    assert outputs.rows == tuple(N_YES_NO + domain.space.labels.index(label) for label in outputs.labels)

"""Losses look at the outputs that are asked for, and at every group of labels."""

from dataclasses import replace

import pytest
import torch
from edgewright.domains.images.objective import LabelObjective
from edgewright.domains.images.question import N_YES_NO
from edgewright.domains.images.settings import ImageSettings
from edgewright.training.objective import Sampling
from edgewright.training.rng import JOINT

SAMPLING = Sampling(seed=2, batch_size=32, n_augmented_tasks=20)


@pytest.fixture(scope="module")
def batch(domain):
    return LabelObjective(domain).source(SAMPLING).draw(JOINT, 0).to(torch.device("cpu"), torch.float32)


def right_outputs(batch, sure=12.0):
    return sure * torch.nn.functional.one_hot(batch.answers, batch.asked.shape[1]).float()  # (B, R)


def test_a_right_answer_costs_nothing_and_outputs_not_asked_for_do_not_matter(domain, batch):
    objective, outputs = LabelObjective(domain), right_outputs(batch)
    outputs[~batch.asked] = 50.0
    loss, score = objective.task_loss(outputs, batch)
    assert float(loss) < 1e-3 and float(score) == 1
    loss, score = objective.task_loss(-outputs, batch)
    assert float(loss) > 5 and float(score) == 0


def test_smoothing_makes_certainty_cost(domain, batch):
    smoothed = LabelObjective(domain, ImageSettings(label_smoothing=0.1))
    plain = LabelObjective(domain)
    outputs = right_outputs(batch)
    assert float(smoothed.task_loss(outputs, batch).loss) > float(plain.task_loss(outputs, batch).loss) + 0.1
    assert torch.isfinite(smoothed.task_loss(outputs, batch).loss)


def test_pre_training_asks_for_all_labels_of_an_image(domain, batch):
    objective = LabelObjective(domain)
    outputs = torch.zeros(32, objective.n_pretrain_outputs)
    outputs[:, N_YES_NO:] = 24.0 * batch.has.float() - 12
    loss, score = objective.pretrain_loss(outputs, batch)
    assert float(loss) < 1e-3 and float(score) == 1
    assert float(objective.pretrain_loss(-outputs, batch).score) < 0.2


def test_an_image_without_a_label_of_a_group_teaches_nothing_there(domain, batch):
    objective, outputs = LabelObjective(domain), torch.randn(32, domain.n_outputs)
    mine = list(domain.space.indices[0])
    has = batch.has.clone()
    has[0, mine] = False
    without = replace(batch, has=has)
    changed = outputs.clone()
    changed[0, [N_YES_NO + index for index in mine]] += 3.0
    first, second = (objective.pretrain_loss(each, without).loss for each in (outputs, changed))
    assert float(first) == pytest.approx(float(second))

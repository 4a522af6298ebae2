"""What training asks of NumVQA: batches of the asked tasks, and validation on digits as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.batches import NumVqaSource
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.domains.numvqa.settings import NumVqaSettings
from edgewright.training.objective import Sampling

CPU = torch.device("cpu")
SAMPLING = Sampling(batch_size=32)
TASK = numvqa.SPACE.parse("has 0")


@pytest.fixture
def objective(domain):
    return NumVqaObjective(domain)


def test_only_the_asked_task_is_drawn(objective):
    batch = objective.source(replace(SAMPLING, augmented_share=0.0), [TASK]).draw("joint", 0).to(CPU, torch.float32)
    assert {tuple(row) for row in batch.tasks.tolist()} == {tuple(numvqa.SPACE.encode(TASK.attributes))}


def test_a_task_is_validated_on_such_examples_as_it_is_tested_on(objective):
    """Half yes and half no, of counts as digits have them; always the same ones."""
    held, again = (objective.validation(SAMPLING, 40, TASK) for _ in range(2))
    examples = objective.domain.examples(TASK, "validation", 40, np.random.default_rng([SAMPLING.seed, 7]))
    for batch in (held, again):
        assert np.array_equal(batch.images.numpy(), examples.images)
        assert np.array_equal(batch.answers.numpy(), examples.answers) and batch.answers.sum() == 20
    assert torch.equal(held.digit_counts[:, 0] > 0, held.answers == 1), "has 0"
    assert {tuple(row) for row in held.tasks.tolist()} == {tuple(numvqa.SPACE.encode(TASK.attributes))}


def test_all_tasks_are_validated_on_validation_digits_as_they_are(objective):
    held = objective.validation(SAMPLING, 30)
    digits = objective.domain.digits.validation
    plain = NumVqaSource(replace(SAMPLING, batch_size=30), NumVqaSettings(augmentation=False), digits)
    assert len(held.images) == 30 and torch.equal(held.images, plain.draw("pretrain", 0).to(CPU, torch.float32).images)

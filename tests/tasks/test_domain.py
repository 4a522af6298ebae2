"""What follows from any task domain: its trained tasks, and images to calibrate on."""

import numpy as np
import pytest
from edgewright.domains.answers import AnswerExamples
from edgewright.domains.numvqa.domain import NumVqa
from edgewright.tasks.domain import calibration_images, trained_tasks


class Covering(NumVqa):
    """Covers a few tasks only, and keeps count of what is asked for."""

    def covers(self, task, split):
        return split == "train" and task in self.tasks[:3]

    def examples(self, task, split, n, rng):
        images = np.full((n, 1, 2, 2), self.tasks.index(task), np.float32)  # (B, C, H, W)
        return AnswerExamples(images, np.zeros(n, np.int64))


@pytest.fixture
def domain():
    return Covering(digits=None)


def test_trained_tasks_are_all_but_the_held_out_ones(domain):
    trained = trained_tasks(domain)
    assert set(trained) | set(domain.held_out) == set(domain.tasks) and not set(trained) & set(domain.held_out)


@pytest.mark.parametrize(("n", "each"), [(6, 2), (7, 3), (1, 1)])
def test_calibration_images_are_of_all_covered_tasks_alike(domain, n, each):
    images = calibration_images(domain, domain.tasks[:5], n, np.random.default_rng(0))
    assert [int(level) for level in images[:, 0, 0, 0]] == [0] * each + [1] * each + [2] * each

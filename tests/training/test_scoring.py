"""The score of an ordinary model on a domain's examples."""

import numpy as np
import torch
from edgewright.domains.answers import AnswerExamples
from edgewright.training.scoring import SLICE, model_score
from torch import nn


class Bright(nn.Module):
    """Says yes to bright images. Batch norm would make another answer in training mode, or of another batch."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.batches = []

    def forward(self, images):
        self.batches.append(len(images))
        mean = self.norm(images.mean((1, 2, 3))[:, None])
        return torch.cat([0.5 - mean, mean - 0.5], 1)


def test_a_score_is_the_domains_of_all_outputs_in_evaluation_mode():
    rng = np.random.default_rng(0)
    brightness = rng.random(SLICE + 30).astype(np.float32)
    images = np.broadcast_to(brightness[:, None, None, None], (len(brightness), 1, 4, 4)).copy()
    answers = (brightness > 0.5).astype(np.int64)
    answers[:53] = 1 - answers[:53]
    model = Bright().train()
    assert model_score(model, AnswerExamples(images, answers)) == 1 - 53 / (SLICE + 30)
    assert model.batches == [SLICE, 30] and not model.training
    assert model_score(model.double(), AnswerExamples(images, answers)) == 1 - 53 / (SLICE + 30)

"""The score of a model on a domain's examples.

Shapes: `B` images of `(C, H, W)`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..tasks.domain import Examples

SLICE = 500
"""Images in one forward pass of an evaluation."""


@torch.inference_mode()
def model_score(model: nn.Module, examples: Examples) -> float:
    """The score of an ordinary model, in evaluation mode."""
    return examples.score(outputs_for(model.eval(), examples, next(model.parameters())))


def outputs_for(model: Callable[[Tensor], Tensor], examples: Examples, like: Tensor) -> NDArray[np.float32]:
    """What `model` gives for the examples' images, `(B, ...)`; `like` is one of its weights."""
    images = torch.from_numpy(examples.images).to(like)
    return torch.cat([model(part) for part in images.split(SLICE)]).float().cpu().numpy()

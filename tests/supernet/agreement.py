"""How far a gated model and the subnets cut out of it are apart."""

from __future__ import annotations

import numpy as np
import torch
from edgewright.supernet.extraction import Extractor
from edgewright.supernet.plan import SupernetPlan
from edgewright.supernet.supernet import Supernet
from torch import Tensor, nn


@torch.no_grad()
def difference(backbone: nn.Module, plan: SupernetPlan, x: Tensor, seed: int) -> float:
    """Largest difference between gated and cut-out, of the largest output, with gates of its own for every sample."""
    rng = np.random.default_rng(seed)
    sets = [plan.space.sample(0.5, rng) for _ in range(len(x))]
    supernet = Supernet(backbone, plan)
    gated = supernet(x, torch.from_numpy(np.stack([gates.bits for gates in sets])).to(x.dtype))
    worst = 0.0
    for i, gates in enumerate(sets):
        units = [torch.from_numpy(mask.nonzero()[0]) for mask in gates.masks().values()]
        alone = Extractor(plan)(backbone, units)(x[i : i + 1])
        worst = max(worst, float((gated[i : i + 1] - alone).abs().max() / alone.abs().max()))
    return worst

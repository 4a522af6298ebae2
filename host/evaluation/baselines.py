"""Retrain and Prune&Tune as models on this machine: trained once each, kept, and cut to a budget that is measured.

Every model is a safetensors file of the evaluation's folder, named after what it is, and is found there by a rerun.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files import write_atomic
from ..supernet.backbones import build_backbone
from ..tasks import Task
from ..tasks.digits import DigitSplits
from ..training.pruning import pruned, with_new_head
from ..training.recipe import Recipe
from ..training.single import Fitted, UntilFlat, fit_counts, fit_task
from ..training.stages import N_COUNT_LOGITS

_CLOSE = 0.03  # of the budget

MeasureMs = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Baselines:
    """What the baselines share: the recipe's backbone and data, and the folder that keeps what was trained."""

    folder: Path
    recipe: Recipe
    digits: DigitSplits
    until: UntilFlat
    prune_tries: int = 8

    @property
    def example(self) -> Tensor:
        return torch.zeros(1, *self.recipe.backbone.image_shape)

    def retrain(self, task: Task) -> Fitted:
        """The recipe's architecture, of full size, trained for one task from random weights."""
        return self._kept(f"retrain, {task}", self._backbone(2), lambda model: self._fit(model, task))

    def retrain_like(self, subnet: nn.Module, task: Task, name: str) -> Fitted:
        """The architecture of a generated subnet, trained for one task from random weights: at equal latency."""
        model = _reset(subnet, self.recipe.seed)
        return self._kept(f"retrain-equal, {name}", model, lambda fresh: self._fit(fresh, task))

    def unified(self) -> Fitted:
        """One model that knows what all tasks ask about: how often each digit occurs."""
        fit = lambda model: fit_counts(model, self.digits, self.recipe, self.until)  # noqa: E731
        return self._kept("unified", self._backbone(N_COUNT_LOGITS), fit)

    def pruned_to(self, unified: nn.Module, bound_ms: float, measure_ms: MeasureMs) -> tuple[nn.Module, float]:
        """The least pruned model within a latency, and the share of channels it lost, by bisection on the device.

        Raises `InputError` when even the smallest is slower.
        """
        least, most, best = 0.0, 0.98, None
        for _ in range(self.prune_tries):
            share = (least + most) / 2
            model = self._with_two_answers(pruned(unified, self.example, share))
            found = measure_ms(model)
            if found > bound_ms:
                least = share
                continue
            most, best = share, (model, share)
            if found > (1 - _CLOSE) * bound_ms:
                break
        if best is None:
            raise InputError(f"Prune&Tune finds no model within {bound_ms:g} ms; ask for a larger budget")
        return best

    def tune(self, model: nn.Module, task: Task, name: str) -> Fitted:
        """A pruned model, tuned to one task."""
        return self._kept(f"prune-tune, {name}", model, lambda given: self._fit(given, task))

    def _fit(self, model: nn.Module, task: Task) -> Fitted:
        return fit_task(model, task, self.digits, self.recipe, self.until)

    def _backbone(self, num_classes: int) -> nn.Module:
        torch.manual_seed(self.recipe.seed)  # timm initialises from the global generator only
        backbone = self.recipe.backbone
        return build_backbone(backbone.name, {**backbone.arguments, "num_classes": num_classes})

    def _with_two_answers(self, model: nn.Module) -> nn.Module:
        torch.manual_seed(self.recipe.seed)
        return with_new_head(model, 2).eval()

    def _kept(self, name: str, model: nn.Module, fit: Callable[[nn.Module], Fitted]) -> Fitted:
        """From the folder when it was trained before; the note comes last, so that it says all is there."""
        from safetensors.torch import load, save

        stem = self.folder / "models" / "".join(letter if letter.isalnum() else "-" for letter in name)
        weights, note = stem.with_suffix(".safetensors"), stem.with_suffix(".json")
        if note.exists():
            model.load_state_dict(load(weights.read_bytes()))
            return Fitted(model.eval(), **json.loads(note.read_bytes()))
        fitted = fit(model)
        stem.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(weights, save({key: value.contiguous() for key, value in fitted.model.state_dict().items()}))
        facts = {key: value for key, value in vars(fitted).items() if key != "model"}
        write_atomic(note, json.dumps(facts).encode())
        return fitted


def _reset(model: nn.Module, seed: int) -> nn.Module:
    """Fresh weights in the same architecture: by each layer's own way, and timm's for tokens and positions."""
    torch.manual_seed(seed)
    for part in model.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
            continue
        for own in part.parameters(recurse=False):
            nn.init.trunc_normal_(own, std=0.02)
    return model.train()

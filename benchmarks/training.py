"""A training step under gates against the same step of the plain backbone, and training as it runs. Prints one JSON
object.

Same weights, same batch, same optimiser and precision; the three kinds take turns, so that all see the same machine.
`gated` has gates per sample; `joint` is what training does: the assembler makes them, and learns too.

`running` has, for a recipe of each domain: steps a second, the share of a step that waits for data, and on a GPU the
share of time in which it is busy (see `throughput`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import torch
from edgewright.assembler.assembler import Assembler
from edgewright.assembler.joint.losses import JointLoss, JointNoise, random_gates
from edgewright.assembler.joint.recipe import JointRecipe
from edgewright.assembler.joint.recipe_files import load_recipe
from edgewright.data.digits import load_digits
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.supernet.backbones import build_backbone
from edgewright.supernet.supernet import modularize
from edgewright.training.compute import Compute
from edgewright.training.rng import JOINT, step_rng
from edgewright.workbench.data import recipe_domain, sources_of
from edgewright.workspace import Workspace
from torch import Tensor, nn

from benchmarks.runs import arguments, publish
from benchmarks.throughput import throughput

ROUNDS = 15
RUNNING = ("numvqa-resnet", "attrod-digits")
"""A recipe of each domain."""
Step = Callable[[], None]


def plain_backbone(recipe: JointRecipe) -> nn.Module:
    torch.manual_seed(recipe.training.seed)
    backbone = build_backbone(recipe.backbone.name, recipe.backbone.arguments)
    return backbone.to(memory_format=torch.channels_last).train()


def stepping(parameters: list[nn.Parameter], loss: Callable[[], Tensor], recipe: JointRecipe) -> Step:
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=recipe.training.weight_decay)
    compute = compute_of(recipe)

    def step() -> None:
        value = loss()
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        compute.clip(parameters)
        optimizer.step()

    return step


def compute_of(recipe: JointRecipe) -> Compute:
    return recipe.training.compute(torch.device("cpu"))


def steps_of(recipe: JointRecipe) -> dict[str, Step]:
    domain = numvqa.NumVqa(load_digits())
    objective, compute = NumVqaObjective(domain), compute_of(recipe)
    batch = objective.source(recipe.sampling).draw(JOINT, 0).to(compute.device, compute.dtype)
    example = torch.zeros(2, *recipe.backbone.image_shape)
    plain = plain_backbone(recipe)
    gated, joint = (modularize(plain_backbone(recipe), example, recipe.backbone.policy).train() for _ in range(2))
    assembler = Assembler(numvqa.SPACE, joint.space, recipe.assembler).train()
    n, seed = recipe.training.batch_size, recipe.training.seed
    _, generator = step_rng(seed, JOINT, 1)
    gates = random_gates(n, gated.space, 0.2, generator)
    noise = JointNoise.draw(n, joint.space, recipe.semhash_noise, generator)
    loss = JointLoss(joint, assembler, objective, compute, recipe.keep_limits)

    def task_loss(model: nn.Module, *more: Tensor) -> Tensor:
        return objective.task_loss(compute.forward(model, batch.images, *more), batch).loss

    return {
        "plain": stepping(list(plain.parameters()), lambda: task_loss(plain), recipe),
        "gated": stepping(list(gated.parameters()), lambda: task_loss(gated, gates), recipe),
        "joint": stepping(list(loss.parameters()), lambda: loss(batch, noise, 1.0).total, recipe),
    }


def seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def running(recipe: JointRecipe, seconds: float) -> dict[str, Any]:
    """A recipe as it is, on shipped data, which a workspace keeps as it does for training."""
    domain = recipe_domain(recipe, sources_of(Workspace.find(), lambda sentence: print(sentence, file=sys.stderr)))
    return throughput(recipe, recipe.domain.kind.objective(domain, recipe.domain.settings), seconds)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--recipe", default="numvqa-resnet")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=30.0, help="of training, for each domain")
    parser.add_argument("--domains", nargs="*", default=RUNNING, metavar="RECIPE", help="those that are run")
    options = parser.parse_args()
    steps = steps_of(load_recipe(options.recipe))
    rounds = [{name: seconds(step) for name, step in steps.items()} for _ in range(options.rounds + 2)][2:]
    result: dict[str, object] = {"recipe": options.recipe, "rounds": options.rounds, "threads": torch.get_num_threads()}
    for name in steps:
        result[f"{name}_s"] = median(each[name] for each in rounds)
    for name in ("gated", "joint"):
        ratios = [each[name] / each["plain"] for each in rounds]
        result[f"{name}_ratio"], result[f"{name}_ratio_quartiles"] = median(ratios), quantiles(ratios)[::2]
    result["running"] = [running(load_recipe(name), options.seconds) for name in options.domains]
    publish("training", result, options.json)


if __name__ == "__main__":
    main()

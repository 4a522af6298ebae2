"""A supernet of labelled images against the whole of itself, on all test images. Prints one JSON object.

    python -m benchmarks.images --supernet runs/cifar --data cifar10

`whole` is the backbone with all gates open: how often it names the right label of each group, and its answer to every
task when it may only give that task's answers (for a yes-or-no task, by what it believes of each combination of
labels). The other networks are the subnets that the assembler makes for the task at a limit, as they are delivered. All
see the same images, as many for every answer; tasks are those of the domain, trained ones and those that never were.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from edgewright.assembler.archive import TrainedSupernet
from edgewright.assembler.request import Request
from edgewright.data.labelled import LabelledImages
from edgewright.domains.images.domain import LabelDomain, LabelExamples, drawn
from edgewright.domains.images.question import N_YES_NO, Question
from edgewright.tasks import Task
from edgewright.training.scoring import SLICE, model_score
from edgewright.workbench.workbench import Workbench
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.runs import arguments, publish

LIMITS = (0.1, 0.2, 0.5)
WHOLE = "whole"
Frame = pd.DataFrame


@torch.inference_mode()
def logits_of(trained: TrainedSupernet, domain: LabelDomain, chosen: NDArray[np.int64]) -> Tensor:
    """What the open supernet gives for images `(n,)`: `(n, R)`."""
    trained.supernet.eval()
    parts = np.array_split(chosen, max(1, len(chosen) // SLICE))
    return torch.cat([trained.supernet(torch.from_numpy(domain.as_floats(part))) for part in parts])


def right_labels(domain: LabelDomain, logits: Tensor, has: NDArray[np.bool_]) -> dict[str, float]:
    """Of each group of which an image has one label: the share of images `(n, A)` whose label is named right."""
    space, beliefs = domain.space, logits[:, N_YES_NO:].numpy()  # (n, A)
    return {
        group.name: float((beliefs[:, mine].argmax(1) == has[:, mine].argmax(1)).mean())
        for group, mine in zip(space.groups, space.indices, strict=True)
        if group.exclusive and len(mine) > 1
    }


def answers_of(domain: LabelDomain, logits: Tensor, question: Question) -> NDArray[np.float32]:
    """The open supernet's answer to a task, from what it gives for images `(n, R)`: `(n, K)`."""
    if question.which:
        return logits[:, list(question.output_rows)].numpy()
    has = domain.patterns("train").has  # (P, A)
    likely = _log_likelihood(domain, logits, torch.from_numpy(has))  # (n, P)
    yes = torch.from_numpy(question.holds(has))  # (P,)
    return torch.stack([likely[:, ~yes].logsumexp(1), likely[:, yes].logsumexp(1)], 1).numpy()  # (n, 2)


def _log_likelihood(domain: LabelDomain, logits: Tensor, has: Tensor) -> Tensor:
    """Of each combination of labels `(P, A)` for each image `(n, R)`, groups taken as independent: `(n, P)`."""
    beliefs, likely = logits[:, N_YES_NO:], torch.zeros(len(logits), len(has))
    for group, mine in zip(domain.space.groups, domain.space.indices, strict=True):
        x, there = beliefs[:, list(mine)], has[:, list(mine)].float()  # (n, K), (P, K)
        if group.exclusive and len(mine) > 1:
            likely += x.log_softmax(1) @ there.T  # (n, P)
        else:
            likely += F.logsigmoid(x) @ there.T + F.logsigmoid(-x) @ (1 - there).T  # (n, P)
    return likely


def judged(
    trained: TrainedSupernet, domain: LabelDomain, tasks: Sequence[Task], n_images: int, limits: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """A row for every task and network."""
    test = domain.images.of_split("test")  # (n,)
    logits, unseen = logits_of(trained, domain, test), set(domain.held_out)
    for number, task in enumerate(tasks):
        question = domain.space.question(task)
        chosen, answers = drawn(question, domain.images, "test", n_images, np.random.default_rng([0, number]))
        examples = LabelExamples(domain.as_floats(chosen), answers, question.output_rows)
        about = {
            "task": str(task), "kind": "which" if question.which else "yes-no",
            "size": len(question.which), "unseen": task in unseen,
        }  # fmt: skip
        mine = logits[torch.from_numpy(np.searchsorted(test, chosen))]  # (n, R)
        yield {**about, "network": WHOLE, "score": examples.score(answers_of(domain, mine, question)), "ratio": 1.0}
        gates = trained.assembler.assemble([Request(task, limit) for limit in limits])
        for limit, each in zip(limits, gates, strict=True):
            score = model_score(trained.supernet.extract(each), examples)
            yield {**about, "network": f"{limit:.0%}", "score": score, "ratio": each.ratio}
        print(f"{number + 1} of {len(tasks)}", end="\r", file=sys.stderr)


def summary(rows: Frame) -> list[dict[str, Any]]:
    """The mean score of each network over the tasks of a kind, trained ones apart from the others."""
    groups = rows.groupby(["kind", "unseen", "network"], sort=False)
    return [
        {"kind": kind, "unseen": bool(unseen), "network": network, "tasks": len(part),
         "score": float(part["score"].mean()), "ratio": float(part["ratio"].mean())}
        for (kind, unseen, network), part in groups
    ]  # fmt: skip


def counts(images: LabelledImages) -> Mapping[str, int]:
    return {split: len(images.of_split(split)) for split in ("train", "validation", "test")}


def parsed() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--supernet", type=Path, required=True, metavar="DIR")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the images that it was trained on")
    parser.add_argument("--images", type=int, default=1000, help="test images per task")
    parser.add_argument("--limits", type=float, nargs="*", default=LIMITS)
    parser.add_argument("--rows", type=Path, metavar="FILE", help="write the score of every task to FILE, as CSV")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    with Workbench(on_status=lambda sentence: print(sentence, file=sys.stderr)) as bench:
        known = bench.supernet(options.supernet, data=options.data)
        trained, domain = known.trained, known.domain
    tasks = [task for task in domain.tasks if domain.covers(task, "test")]
    rows = pd.DataFrame(judged(trained, domain, tasks, options.images, options.limits))
    if options.rows:
        rows.to_csv(options.rows, index=False)
    test = domain.images.of_split("test")
    recipe = trained.facts["recipe"]
    result = {
        "data": domain.data,
        "images": counts(domain.images),
        "seed": recipe["training"]["seed"],
        "steps": {name: recipe[f"{name}_steps"] for name in ("pretrain", "joint", "tune")},
        "train_s": trained.facts["train_s"],
        "per_task": options.images,
        "right_labels": right_labels(domain, logits_of(trained, domain, test), domain.images.has[test]),
        "tasks": summary(rows),
    }
    publish("images", result, options.json)


if __name__ == "__main__":
    main()

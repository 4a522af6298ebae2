"""Table 2 and Figs. 9, 11, 14 and 15: accuracy and actual ratio by task and limit, and which tasks share gates.

Shapes: `K` tasks, `N` modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...assembler.archive import TrainedSupernet
from ...assembler.limits import smallest_limit
from ...assembler.request import Request
from ...assembler.scoring import evaluate_tasks
from ...files import write_atomic
from ...tasks.domain import TaskDomain
from ..result_table import ResultTable
from .options import LIMITS, Options, Say

COLUMNS = ("supernet", "task", "limit", "held_out", "ratio", "accuracy", "n_images", "seed")
SIMILARITY_FILE = "similarity.csv"
SIMILARITY_LIMIT = 0.1


def accuracy_table(folder: Path) -> ResultTable:
    return ResultTable(folder / "accuracy.csv", COLUMNS, 3)


def similarities(folder: Path) -> pd.DataFrame:
    """What `measure_similarity` wrote; empty before."""
    path = folder / SIMILARITY_FILE
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def measure_accuracy(
    folder: Path, name: str, trained: TrainedSupernet, domain: TaskDomain, options: Options, say: Say
) -> None:
    """Every task at every limit that leaves a module per site; tasks that are in the table stay."""
    table = accuracy_table(folder)
    least = smallest_limit(trained.supernet.space)
    limits = [limit for limit in LIMITS if limit >= least]
    for index, task in enumerate(domain.tasks):
        if all(table.has(name, str(task), limit) for limit in limits):
            continue
        for row in evaluate_tasks(trained, domain, [task], limits, options.n_images, options.seed):
            if not table.has(name, row.task, row.limit):
                table.add({"supernet": name, **vars(row), "n_images": options.n_images, "seed": options.seed})
        say(f"accuracy of {name}", index + 1, len(domain.tasks))


def measure_similarity(folder: Path, supernets: Mapping[str, TrainedSupernet], domain: TaskDomain) -> None:
    """How similar the gates of two tasks are at a limit of 10 %, for every supernet. Quick, so computed every time."""
    rows = []
    for name, trained in supernets.items():
        answers = trained.assembler.assemble([Request(task, SIMILARITY_LIMIT) for task in domain.tasks])
        bits = np.array([gates.bits for gates in answers], float)  # (K, N)
        both = {"jaccard": jaccard(bits), "cosine": cosine(bits)}
        for (row, task), (column, other) in product(enumerate(map(str, domain.tasks)), repeat=2):
            alike = {measure: matrix[row, column] for measure, matrix in both.items()}
            rows.append({"supernet": name, "task": task, "other": other, **alike})
    write_atomic(folder / SIMILARITY_FILE, pd.DataFrame(rows).to_csv(index=False, float_format="%.4f").encode())


def jaccard(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(K, N)` of zeros and ones -> `(K, K)`: modules open in both over modules open in either."""
    shared = bits @ bits.T  # (K, K)
    sizes = bits.sum(1)  # (K,)
    alike: NDArray[np.float64] = shared / (sizes[:, None] + sizes[None, :] - shared)
    return alike


def cosine(bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(K, N)` -> `(K, K)`."""
    unit = bits / np.linalg.norm(bits, axis=1, keepdims=True)
    alike: NDArray[np.float64] = unit @ unit.T
    return alike

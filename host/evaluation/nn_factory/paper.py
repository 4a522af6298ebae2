"""The figures of NN-Factory's tables, for comparison with our own."""

from __future__ import annotations

from ...tasks.domain import TaskDomain

TABLE_2 = (
    # task, limit, ResNet accuracy and ratio, ViT accuracy and ratio, in percent
    ("has, 0", 3, 99.7, 3.0, 97.8, 3.0),
    ("has, 0", 5, 99.8, 3.7, 97.6, 4.0),
    ("has, 0", 10, 99.9, 3.8, 97.8, 5.1),
    ("only two, 1", 3, 99.3, 3.0, 96.7, 3.0),
    ("only three, 2", 3, 99.4, 3.0, 86.7, 3.0),
    ("only four, 5", 3, 99.1, 3.0, 95.5, 3.0),
    ("only one, 0", 5, 99.8, 3.7, 94.1, 5.0),
    ("only three, 0", 5, 99.4, 3.8, 94.8, 5.0),
    ("only one, 3", 5, 99.8, 3.7, 87.7, 5.0),
    ("only two, odd", 3, 99.3, 3.0, 94.3, 3.0),
    ("only two, odd", 5, 99.4, 4.0, 94.3, 3.8),
)
PREPARATION_H = {"edgewright": 130.0, "retrain": None, "prune-tune": 66.0}
CUSTOMISATION_S = {"edgewright": 3.6, "retrain": 66 * 3600.0, "prune-tune": 4 * 3600.0}
"""Table 4: once, and per scenario."""


def table_2_covers(domain: TaskDomain) -> bool:
    """Whether the tasks of Table 2 are the domain's."""
    return {row[0] for row in TABLE_2} <= {str(task) for task in domain.tasks}

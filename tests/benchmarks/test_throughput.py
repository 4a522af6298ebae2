"""What a run of training says of itself, and how busy a GPU was by its trace."""

import json
from pathlib import Path

import pytest
from edgewright.domains.numvqa.objective import NumVqaObjective

from benchmarks.throughput import WARM_UP, busy, covered, throughput
from tests.assembler.joint.tiny import tiny


@pytest.mark.parametrize("batch_workers", [0, 1])
def test_a_run_says_how_fast_it_is_and_how_long_it_waits(domain, batch_workers):
    found = throughput(tiny(batch_workers=batch_workers), NumVqaObjective(domain), 0.2)
    assert found["steps"] >= 1 and found["steps_per_s"] > 0 and 0 < found["data_share"] < 1
    assert (found["recipe"], found["device"], found["batch_workers"]) == ("tiny", "cpu", batch_workers)
    assert found["busy_share"] is None and WARM_UP > 0


class Profiled:
    """A trace in Chrome's format, in microseconds."""

    def __init__(self, *events):
        self.events = events

    def export_chrome_trace(self, path):
        Path(path).write_text(json.dumps({"traceEvents": self.events}))


def test_a_gpu_is_busy_while_a_kernel_or_a_copy_runs_on_it():
    kernel = {"cat": "kernel", "ts": 10.0, "dur": 4.0}
    copy = {"cat": "gpu_memcpy", "ts": 12.0, "dur": 4.0}
    others = {"cat": "cuda_runtime", "ts": 0.0, "dur": 99.0}, {"name": "no event", "ts": 0.0}
    assert busy(Profiled(copy, kernel, *others)) == (pytest.approx(6e-6), 2)


def test_time_in_which_two_run_counts_once():
    assert covered([(0, 3), (1, 2), (2, 5), (7, 8)]) == 6 and covered([]) == 0

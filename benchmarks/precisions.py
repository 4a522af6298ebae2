"""The same subnets in float32, float16 and int8 on this machine: size, accuracy, latency. Prints one JSON object.

Each subnet is delivered and verified as `customize` does it; beside it, what profiling measures in its place: the slice
of the quantised supernet with the same gates. All files of a subnet are measured in turns, so that what else runs here
falls on all of them.
"""

from __future__ import annotations

import tempfile
from statistics import median
from typing import Any

import numpy as np
from edgewright.assembler.request import Request
from edgewright.converters.precision import Precision
from edgewright.delivery.quantization import Quantization
from edgewright.delivery.reference import Reference
from edgewright.delivery.verification import measure_model, median_latency_ms, verify
from edgewright.tasks import Task
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish

TASKS = ("only two even", "has 3", "only four odd")
LIMIT = 0.25
N_IMAGES = 500
ROUNDS = 3


class Bench:
    """The shipped supernet and its templates in all precisions, and a session on this machine."""

    def __init__(self, bench: Workbench) -> None:
        nets = {each: bench.supernet(precision=each) for each in Precision}
        plain = nets[Precision.FLOAT32]
        self.session, self.domain, self.trained = bench.device("local").session, plain.domain, plain.trained
        self.templates = {each: net.profiled for each, net in nets.items()}

    def rows(self, task: Task) -> list[dict[str, Any]]:
        gates = self.trained.assembler.assemble([Request(task, LIMIT)])[0]
        subnet = self.trained.supernet.extract(gates)
        examples = self.domain.examples(task, "test", N_IMAGES, np.random.default_rng(0))
        slices = {each: template.emit(gates.pack()).tobytes() for each, template in self.templates.items()}
        files = {each: self._delivered(slices[Precision.FLOAT32], task, each) for each in Precision}
        reference = Reference.of_images(subnet, examples.images)
        shown = {
            each: verify(self.session, files[each], reference, precision=each, examples=examples) for each in Precision
        }
        scores = {each: known for each in Precision if (known := shown[each].scores) is not None}
        latencies: dict[tuple[str, Precision], list[float]] = {}
        for _ in range(ROUNDS):
            for each in Precision:
                for kind, contents in (("file", files), ("slice", slices)):
                    _, measurements = measure_model(self.session, contents[each])
                    latencies.setdefault((kind, each), []).append(median_latency_ms(measurements))
        return [
            {
                "task": str(task),
                "precision": str(each),
                "ratio": gates.ratio,
                "size_bytes": len(files[each]),
                "accuracy": scores[each].on_device,
                "agreement": scores[each].agreement,
                "parity_max_abs": shown[each].parity_max_abs,
                "latency_ms": median(latencies["file", each]),
                "slice_latency_ms": median(latencies["slice", each]),
                "memory_mib": shown[each].cost.memory_mib,
            }
            for each in Precision
        ]

    def _delivered(self, float32: bytes, task: Task, precision: Precision) -> bytes:
        if precision is Precision.FLOAT32:
            return float32
        return Quantization(precision, self.templates[precision], self.domain).quantize(float32, task)


def main() -> None:
    options = arguments(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, Workbench(folder) as workbench:
        bench = Bench(workbench)
        rows = [row for text in TASKS for row in bench.rows(bench.domain.space.parse(text))]
    publish("precisions", {"n_images": N_IMAGES, "rows": rows}, options.json)


if __name__ == "__main__":
    main()

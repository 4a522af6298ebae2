from dataclasses import replace
from pathlib import Path

from edgewright.assembler.request import Request
from edgewright.converters.precision import Precision
from edgewright.costs import Budget, Cost, Estimate
from edgewright.customize.algorithm1 import Candidate
from edgewright.customize.artifact import Artifact
from edgewright.customize.scenario import Scenario
from edgewright.delivery.handover import Delivery
from edgewright.delivery.verification import Scores, Verification
from edgewright.domains.numvqa import domain as numvqa
from edgewright.gates import GateSpace, Site
from edgewright.report.verdict import verdict_rows
from edgewright.tasks.domain import ACCURACY


def test_a_verdict_holds_what_was_asked_predicted_and_measured():
    task = numvqa.SPACE.parse("only two even")
    gates = GateSpace((Site("a", 4),)).from_counts([1])
    scenario = Scenario(task, "local", Budget(latency_ms=0.5))
    scores = Scores(ACCURACY, on_device=0.97, in_torch=0.972, agreement=0.998, n_images=500)
    delivery = Delivery(
        purpose=str(task),
        device="local",
        facts={},
        precision=Precision.FLOAT32,
        budget=scenario.budget,
        verification=Verification(Cost(0.4, 3.25, 1.0), (0.39, 0.42), 1e-6, 500, "ab" * 32, scores),
        path=Path("model.tflite"),
        size_bytes=2**20,
        float32_bytes=2**20,
    )
    candidate = Candidate(Request(task, 0.3), gates, Estimate(Cost(0.41, 3.0, 1.0), Cost(0.45, 3.0, 1.0)))
    artifact = Artifact(scenario, candidate, delivery, customize_s=0.05, total_s=1.2, tries=1)
    rows = verdict_rows(artifact)
    assert rows["latency"] == (
        "0.400 ms measured (0.390 to 0.420), 0.410 predicted (below 0.450 at 95%), budget 0.500, 80% of it used"
    )
    assert rows["memory"] == "3.250 MiB measured, 3.000 predicted, no budget"
    assert rows["accuracy"] == "97.0% on 500 unseen test images, on the device"
    assert rows["file"] == "model.tflite, 1.00 MiB"
    assert "(1 try)" in rows["time"] and rows["parity"].endswith("1.0e-06")
    assert "precision" not in rows
    quantised = verdict_rows(
        replace(artifact, delivery=replace(delivery, precision=Precision.INT8, float32_bytes=4 * 2**20))
    )
    assert quantised["precision"] == (
        "int8; in float32 the file has 4.00 MiB, the accuracy is 97.2%, and 99.8% of the answers are the same"
    )

"""Signatures, shapes and operators through Google's benchmark_model, whose place a stand-in takes (`stand_in`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.benchmark_model.operators import parse_operators
from edgewright.devices.benchmark_model.session import BenchmarkModelSession
from edgewright.devices.local import LocalTransport
from edgewright.devices.session.jobs import MeasureJob
from edgewright.errors import InputError

from tests.device_agent.tiny_models import two_signatures
from tests.devices.benchmark_model.stand_in import tool

Measure = Callable[..., dict[str, Any]]


@pytest.fixture
def measure(tmp_path: Path) -> Iterator[Measure]:
    """Measure a model by the tool in some mode, called in some way."""
    opened: list[BenchmarkModelSession] = []

    def run(model: bytes, mode: str = "good", **call: Any) -> dict[str, Any]:
        program = tool(tmp_path, mode)
        session = BenchmarkModelSession(lambda: LocalTransport(tmp_path / "agent"), "bench", program, "gpu")
        opened.append(session)
        return session.measure(MeasureJob(model_sha=session.put_blob(model), **call), TimingProtocol())

    yield run
    for session in opened:
        session.close()


def flags(tmp_path: Path) -> list[str]:
    """What the tool was asked for beyond the ordinary."""
    (path,) = (tmp_path / "agent").glob("*.asked")
    return [line for line in path.read_text().split() if line.startswith(("--signature", "--input_layer"))]


def test_it_says_what_of_the_model_was_run(measure: Measure, small_model: bytes) -> None:
    reply = measure(two_signatures())
    assert (reply["signature"], reply["signatures"]) == ("negate", ["negate", "double"])
    assert (reply["shapes"], reply["any_size"]) == ({"rows": [1, 4]}, {"rows": [-1, 4]})
    plain = measure(small_model)
    assert (plain["signature"], plain["shapes"]) == (None, {"input": [1, 32, 32, 16]})


def test_a_signature_and_shapes_become_the_tools_flags(measure: Measure, tmp_path: Path) -> None:
    reply = measure(two_signatures(), signature="double", shapes={"right": (1, 3)})
    assert (reply["signature"], reply["shapes"]) == ("double", {"left": [2, 3], "right": [1, 3]})
    assert flags(tmp_path) == [
        "--signature_to_run_for=double", "--input_layer=left,right", "--input_layer_shape=2,3:1,3",
    ]  # fmt: skip
    measure(two_signatures(), shapes={"rows": (7, 4)})
    assert flags(tmp_path) == ["--input_layer=negate_rows:0", "--input_layer_shape=7,4"]


def test_what_the_model_has_not_is_refused(measure: Measure) -> None:
    for call, sentence in (
        ({"signature": "halve"}, "the model has no signature 'halve'; it has: 'negate', 'double'"),
        ({"shapes": {"left": (2, 3)}}, "the model has no input 'left'; its inputs are rows: any,4 float32"),
        ({"shapes": {"rows": (4,)}}, "input 'rows' has 2 dimensions, got 1 (4); its inputs are rows: any,4 float32"),
    ):
        assert measure(two_signatures(), **call)["error"] == {"kind": "bad_call", "message": sentence}
    error = measure(two_signatures(), "refuses", signature="double", shapes={"left": (5, 3)})["error"]
    assert error["kind"] == "bad_call" and "Failed to allocate tensors" in error["message"]


def test_an_old_tool_that_does_not_know_signatures_is_not_believed(measure: Measure) -> None:
    with pytest.raises(InputError, match="this benchmark_model does not know signature_to_run_for; supply a newer one"):
        measure(two_signatures(), "old", signature="double")


def test_operators_are_those_of_a_run_of_its_own(measure: Measure, small_model: bytes) -> None:
    reply = measure(small_model, per_op=True)
    assert reply["per_op"] == [
        {"op": "layer0:0", "type": "CONV_2D", "latency_ms": 3.0, "share": 0.75},
        {"op": "layer1/Softmax;more:1", "type": "SOFTMAX", "latency_ms": 1.0, "share": 0.25},
    ]
    assert "per_op" not in measure(small_model)


def test_a_tool_without_a_profile_says_so(measure: Measure, small_model: bytes) -> None:
    reply = measure(small_model, "old", per_op=True)
    assert reply["per_op"] is None and "printed no profile of operators" in reply["per_op_missing"]


DELEGATED = """
INFO: Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
         [node type]  [start]  [first]  [avg ms]      [%]    [cdf%]  [mem KB]  [times called]  [Name]
 TfLiteXNNPackDelegate   0.000    3.826     4.000  80.000%   80.000%     0.000         1      []:64
               ARG_MAX   4.000    0.052     1.000  20.000%  100.000%     0.000         1      [top]:38

============================== Top by Computation Time ==============================
Delegate internal:
============================== Run Order ==============================
         [node type]  [first]  [avg ms]      [%]    [cdf%]  [mem KB]  [times called]  [Name]
  Convolution (NHWC, F32) IGEMM  3.0  3.000  100.000%   100.000%     0.000         1      Delegate/Convolution:0
"""


def test_what_a_delegate_does_inside_stands_for_the_delegate() -> None:
    """Also with the older tool's column of start times."""
    rows = parse_operators(DELEGATED)
    assert rows is not None
    assert [(row["op"], row["type"], row["latency_ms"], row["share"]) for row in rows] == [
        ("top:38", "ARG_MAX", 1.0, 0.25),
        ("Delegate/Convolution:0", "Convolution (NHWC, F32) IGEMM", 3.0, 0.75),
    ]
    assert parse_operators("no table") is None

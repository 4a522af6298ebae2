"""Which signature of a model is measured, on inputs of which shapes, and what single operators cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.measure import measure
from edgewright.device_agent.runtimes.base import Call, Runtime
from edgewright.device_agent.timing import TimingProtocol

from tests.device_agent.tiny_models import conv_chain, three_ends, two_signatures

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)


def called(runtime: Runtime, model: bytes, call: Call = Call()) -> dict[str, Any]:  # noqa: B008
    record = measure(model, runtime, QUICK, call=call)
    return {name: record[name] for name in ("signature", "signatures", "shapes", "any_size")}


def test_a_record_says_what_was_run(runtime: Runtime) -> None:
    assert called(runtime, two_signatures()) == {
        "signature": "negate", "signatures": ["negate", "double"], "shapes": {"rows": [1, 4]},
        "any_size": {"rows": [-1, 4]},
    }  # fmt: skip
    assert called(runtime, conv_chain()) == {
        "signature": None, "signatures": [], "shapes": {"input": [1, 32, 32, 16]}, "any_size": {},
    }  # fmt: skip
    assert list(called(runtime, three_ends())["shapes"].values()) == [[2, 3], [4], []]


def test_another_signature_and_other_shapes_are_run_when_they_are_asked_for(runtime: Runtime) -> None:
    doubled = called(runtime, two_signatures(), Call("double"))
    assert doubled["signature"] == "double" and doubled["shapes"] == {"left": [2, 3], "right": [2, 3]}
    many = called(runtime, two_signatures(), Call(None, {"rows": (7, 4)}))
    assert many["signature"] == "negate" and many["shapes"] == {"rows": [7, 4]}
    larger = {"left": (5, 3), "right": (5, 3)}  # the graph declares (2, 3), and runs on these as well
    assert called(runtime, two_signatures(), Call("double", larger))["shapes"] == {"left": [5, 3], "right": [5, 3]}


@pytest.mark.parametrize(
    ("call", "fed", "expected"),
    [
        (Call("double"), [np.full((2, 3), 4, np.int32), np.full((2, 3), 5, np.int32)], np.full((2, 3), 9)),
        (Call(None, {"rows": (7, 4)}), [np.ones((7, 4), np.float32)], -np.ones((7, 4))),
        (Call("negate", {"rows": (2, 4)}), [np.ones((2, 4), np.float32)], -np.ones((2, 4))),
    ],
)
def test_what_is_timed_is_what_was_asked_for(
    runtime: Runtime, call: Call, fed: list[np.ndarray], expected: np.ndarray
) -> None:
    def compute() -> tuple[dict[str, Any], bytes]:
        model = runtime.load(two_signatures(), 1, call)
        for position, value in enumerate(fed):
            model.set_input(position, value)
        model.invoke()
        return {"out": model.output(0).tolist()}, b""

    assert np.array_equal(run_isolated(compute, 60, 1024).header["out"], expected)


def test_more_work_takes_more_memory(runtime: Runtime) -> None:
    one, four = (
        measure(conv_chain(), runtime, QUICK, call=Call(None, {"input": (n, 32, 32, 16)}))["memory_mib"] for n in (1, 4)
    )
    assert four > one + 0.3  # three more activations of 64 KiB, in and out of each layer


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (Call("halve"), "the model has no signature 'halve'; it has: 'negate', 'double'"),
        (Call(None, {"left": (2, 3)}), "the model has no input 'left'; its inputs are rows: any,4 float32"),
        (Call(None, {"rows": (4,)}), "input 'rows' has 2 dimensions, got 1 (4); its inputs are rows: any,4 float32"),
        (Call(None, {"rows": (2, 5)}), "input 'rows' does not take 2,5; its inputs are rows: any,4 float32"),
        (
            Call("double", {"left": (5, 3)}),
            "the model does not take left: 5,3; its inputs are left: 2,3 int32; right: 2,3 int32 (",
        ),
    ],
)
def test_what_the_model_has_not_is_refused_with_what_it_has(runtime: Runtime, call: Call, sentence: str) -> None:
    error = measure(two_signatures(), runtime, QUICK, call=call)["error"]
    assert error["kind"] == "bad_call" and error["message"].startswith(sentence) and "\n" not in error["message"]


def test_a_model_without_signatures_says_so(runtime: Runtime) -> None:
    error = measure(conv_chain(), runtime, QUICK, call=Call("main"))["error"]
    assert error == {"kind": "bad_call", "message": "the model has no signature 'main'; it has: none"}


def test_a_runtime_without_a_profile_says_so_and_measures_all_the_same(runtime: Runtime) -> None:
    record = measure(conv_chain(), runtime, QUICK, per_op=True)
    assert record["median_ms"] > 0 and record["per_op"] is None
    assert record["per_op_missing"].startswith(f"{runtime.name} for Python cannot tell what single operators cost")

"""A real agent on this machine, through the workbench."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from edgewright.costs import Budget
from edgewright.errors import BudgetError, DeviceError, InputError, MeasurementError
from edgewright.workbench.options import ModelCall
from edgewright.workbench.workbench import Workbench


@pytest.fixture
def bench(profiled: Path) -> Any:
    with Workbench(profiled) as opened:
        yield opened


@pytest.fixture
def model(template: Any, trained: Any, tmp_path: Path) -> Path:
    path = tmp_path / "smallest.tflite"
    path.write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    return path


def test_a_model_is_measured_in_one_process_and_for_a_verdict_in_several(bench: Workbench, model: Path) -> None:
    device = bench.device("local")
    assert (device.measure(model).latency_ms or 0) > 0
    measurement, reply = device.measure_and_tell(model, ModelCall())
    assert measurement.latency_ms == np.median(reply["samples_ms"]) and len(reply["samples_ms"]) >= 100
    cost = device.cost(model.read_bytes())
    assert cost.size_mib == model.stat().st_size / 2**20 and (cost.latency_ms or 0) > 0 and (cost.memory_mib or 0) > 0


def test_a_model_is_left_there_under_its_name(bench: Workbench, model: Path) -> None:
    left = bench.device("local").push(model)
    assert left["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert Path(left["path"]).name == model.name and Path(left["path"]).read_bytes() == model.read_bytes()


def test_files_that_are_no_models_are_refused_by_whom_they_concern(bench: Workbench, tmp_path: Path) -> None:
    device, empty, garbage = bench.device("local"), tmp_path / "empty.tflite", tmp_path / "garbage.tflite"
    empty.touch()
    garbage.write_bytes(b"garbage" * 100)
    with pytest.raises(InputError, match="is empty; make or copy it again"):
        device.push(empty)
    with pytest.raises(MeasurementError, match="could not be measured on 'local'"):
        device.measure(garbage)
    with pytest.raises(InputError, match="cannot read model"):
        device.measure(tmp_path / "none.tflite")


def test_a_module_goes_to_its_verdict(bench: Workbench, tmp_path: Path) -> None:
    module, example = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)).eval(), (torch.ones(1, 3, 4),)
    out = tmp_path / "m.tflite"
    delivery = bench.device("local").deliver(module, example, out, purpose="three sums", budget=Budget(size_mib=1))
    assert delivery.purpose == "three sums" and delivery.parity_max_abs < 1e-5 and out.stat().st_size
    with pytest.raises(BudgetError, match="misses"):
        bench.device("local").deliver(module, example, tmp_path / "n.tflite", budget=Budget(latency_ms=1e-9))
    assert not (tmp_path / "n.tflite").exists()


def test_a_device_is_reached_when_it_is_needed(tmp_path: Path) -> None:
    with Workbench(tmp_path) as bench:
        bench.registry.add("board", "ssh://nobody@127.0.0.1:9")
        device = bench.device("board")
        assert device.name == "board"
        with pytest.raises(DeviceError, match="board"):
            device.facts()


def test_a_session_that_was_lost_is_opened_again(bench: Workbench) -> None:
    device = bench.device("local")
    before = device.session
    before._link.abandon()
    with pytest.raises(DeviceError, match="is over"):
        before.facts()
    assert device.facts()["machine"] and device.session is before

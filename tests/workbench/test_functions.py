"""The functions of the public API, one call each, on this machine."""

from pathlib import Path

import edgewright
import pytest
import torch
from edgewright import Budget, InputError
from torch import nn


def test_a_module_is_delivered_and_measured_again(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).eval()
    out, budget = tmp_path / "small.tflite", Budget(size_mib=1)
    delivered = edgewright.deliver(module, torch.zeros(1, 3, 8, 8), out, workspace=tmp_path / "space", budget=budget)
    assert delivered.path == out and delivered.manifest_path.is_file() and delivered.parity_max_abs < 1e-4
    cost = edgewright.measure(out, workspace=tmp_path / "space")
    assert cost.latency_ms > 0 and cost.size_mib == pytest.approx(out.stat().st_size / 2**20)


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot read model"):
        edgewright.measure(Path("no.tflite"), workspace=tmp_path)

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from edgewright.converters.errors import ConversionError, ParityError
from edgewright.converters.parity import check_parity
from edgewright.converters.torch_to_tflite import convert, silenced
from torch import nn

Built = Any  # of conftest: a supernet, its template, and a converted subnet


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).eval()


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    handlers = list(logging.getLogger().handlers)
    content = convert(linear(), torch.zeros(1, 3, 2, 2))
    check_parity(linear(), content, torch.randn(2, 3, 2, 2), atol=1e-5, rtol=0)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers


def test_nothing_is_printed_by_a_fresh_process() -> None:
    """The imports, the native parts and what they print when the process ends."""
    script = (
        "import torch; from torch import nn; from edgewright.converters.torch_to_tflite import convert;"
        "convert(nn.Linear(3, 2).eval(), torch.zeros(1, 3)); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "done\n"


def test_silence_ends_with_its_block(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with pytest.raises(KeyError), silenced():
        print("python")
        os.write(1, b"native")
        os.write(2, b"native")
        raise KeyError
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_training_mode_is_refused() -> None:
    module = linear()
    module[1].train()
    with pytest.raises(ConversionError, match="training mode; call .eval"):
        convert(module, torch.zeros(1, 3, 2, 2))


def test_a_batch_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"one sample, \(1, C, H, W\), but has shape \(2, 3, 2, 2\)"):
        convert(linear(), torch.zeros(2, 3, 2, 2))


class Undecided(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_failing_conversion_says_why() -> None:
    with pytest.raises(ConversionError, match=r"litert-torch could not convert Undecided \(\w+: .+\)"):
        convert(Undecided().eval(), torch.zeros(1, 3))


def test_a_different_model_is_refused_with_the_worst_element(mixed_built: Built) -> None:
    supernet = mixed_built.supernet
    masks = {site.name: mixed_built.probe_masks[site.name] for site in supernet.sites}
    other = supernet.extract(masks)
    with torch.no_grad():
        other.head.bias[1] += 0.5
        other.head.bias[2] += 0.1
    with pytest.raises(
        ParityError, match=r"output element \[1\] of sample \d: .* instead of .*; 4 of 6 elements differ"
    ):
        check_parity(other, mixed_built.emit(masks), torch.randn(2, 3, 32, 32), atol=1e-3, rtol=0)


def test_an_output_that_is_no_number_is_refused(mixed_built: Built) -> None:
    x = torch.randn(2, 3, 32, 32)
    x[1] = torch.nan
    with pytest.raises(ParityError, match="of sample 1"):
        check_parity(mixed_built.supernet.module, mixed_built.full, x, atol=1e9, rtol=1e9)


def test_what_is_no_model_file_or_another_input_is_refused(mixed_built: Built) -> None:
    module = mixed_built.supernet.module
    with pytest.raises(ConversionError, match="cannot load the model file"):
        check_parity(module, b"no flatbuffer at all", torch.randn(1, 3, 32, 32), atol=1, rtol=0)
    with pytest.raises(ConversionError, match=r"takes \(1, 3, 32, 32\), the samples have \(3, 64, 64\)"):
        check_parity(module, mixed_built.full, torch.randn(1, 3, 64, 64), atol=1, rtol=0)

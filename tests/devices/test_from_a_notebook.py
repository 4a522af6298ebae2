"""The local device, opened by a process that a fork would not survive: it has threads, and has used CUDA."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NOTEBOOK = """
import os, sys, threading
import torch
from torch import nn
import edgewright as ew
from edgewright.workbench.options import ModelCall

forks, over = [], threading.Event()
os.register_at_fork(before=lambda: forks.append("a fork"))
for _ in range(3):
    threading.Thread(target=over.wait, daemon=True).start()
models, has_gpu = {"tflite": ("cpu", sys.argv[1])}, torch.cuda.is_available()
if has_gpu:
    torch.zeros(1, device="cuda")
    path = sys.argv[2] + "/traced.pt"
    torch.jit.save(torch.jit.trace(nn.Linear(4, 4).eval(), torch.zeros(1, 4)), path)
    models["torch"] = ("cuda", path)
with ew.Workbench(sys.argv[2]) as bench:
    for kind, (expected, path) in models.items():
        measurement, reply = bench.device("local").measure_and_tell(path, ModelCall())
        print(kind, reply["device"] == expected, measurement.latency_ms > 0)
print(forks)
"""


def test_a_process_with_threads_and_cuda_measures_on_this_machine(tmp_path: Path, small_model: bytes) -> None:
    """Nothing of its own is forked: the agent is a new program."""
    (tmp_path / "small.tflite").write_bytes(small_model)
    argv = [sys.executable, "-c", NOTEBOOK, str(tmp_path / "small.tflite"), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    *measured, forks = done.stdout.splitlines()
    assert measured and all(line.endswith("True True") for line in measured) and forks == "[]"

"""Joint training as it runs: steps a second, the share of a step that waits for data, and how busy a GPU is.

The run is a recipe's own joint stage, without evaluations and checkpoints. A step waits for data from when it asks for
its batch until it has it. A GPU is busy while a kernel or a copy runs on it, by torch's profiler, over a few steps that
are not timed; `nvidia_smi_share` is what nvidia-smi says of the timed ones, where it is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from edgewright.assembler.joint.recipe import JointRecipe
from edgewright.assembler.joint.stages import JointStages
from edgewright.training.ahead import Ahead
from edgewright.training.loop import Hook, Loop
from edgewright.training.objective import Objective
from edgewright.training.rng import JOINT
from edgewright.training.workers import joined
from torch.profiler import ProfilerActivity, profile

WARM_UP, PROFILED = 10, 20  # steps
_ON_THE_GPU = {"kernel", "gpu_memcpy", "gpu_memset"}


def throughput(recipe: JointRecipe, objective: Objective, seconds: float) -> dict[str, Any]:
    """Of the recipe's joint stage, for about so many seconds."""
    recipe = replace(recipe, joint_steps=max(recipe.joint_steps, 1_000_000))
    with joined(recipe.training.device) as workers, recipe.training.ahead(workers.device) as ahead:
        plan = JointStages(recipe, objective, workers, ahead)
        stages = [stage for stage in plan.stages() if stage.name == JOINT]
        clock = Clock(ahead, seconds)
        Loop(plan.modules(), stages, [clock], plan.compute, workers, recipe.training.seed).run()
    return {"recipe": recipe.name, "device": _name(workers.device), "batch_workers": ahead.n_threads, **clock.result}


class Clock(Hook):
    """Times the steps after the warm-up, then profiles a few where there is a GPU, and ends the stage."""

    name = "clock"

    def __init__(self, ahead: Ahead, seconds: float) -> None:
        self.ahead, self.seconds = ahead, seconds
        self.result: dict[str, Any] = {}
        self._started = self._waited = 0.0
        self._profile: profile | None = None
        self._until = 0

    def after_step(self, loop: Loop) -> None:
        on_gpu = loop.workers.device.type == "cuda"
        if loop.step == WARM_UP:
            self._begin(on_gpu)
        elif not self.result and loop.step > WARM_UP and time.perf_counter() - self._started > self.seconds:
            self._end(loop, on_gpu)
        elif self.result and loop.step == self._until:
            self._judge(loop)

    def _begin(self, on_gpu: bool) -> None:
        _finished(on_gpu)
        self._smi = _Smi() if on_gpu and shutil.which("nvidia-smi") else None
        self._started, self._waited = time.perf_counter(), self.ahead.waited_s

    def _end(self, loop: Loop, on_gpu: bool) -> None:
        _finished(on_gpu)
        seconds, steps = time.perf_counter() - self._started, loop.step - WARM_UP
        waited = self.ahead.waited_s - self._waited
        self.result = {
            "steps": steps, "steps_per_s": steps / seconds, "data_share": waited / seconds, "busy_share": None,
        }  # fmt: skip
        if not on_gpu:
            return loop.stop()
        if self._smi is not None:
            self.result["nvidia_smi_share"] = self._smi.share()
        self._profile = profile(activities=[ProfilerActivity.CUDA])
        self._profile.__enter__()
        self._until = loop.step + PROFILED

    def _judge(self, loop: Loop) -> None:
        assert self._profile is not None
        _finished(True)
        self._profile.__exit__(None, None, None)
        busy_s, n_kernels = busy(self._profile)
        self.result["busy_share"] = busy_s / PROFILED * self.result["steps_per_s"]
        self.result["kernels_per_step"] = n_kernels / PROFILED
        loop.stop()


class _Smi:
    """What nvidia-smi says of the GPU's use, five times a second."""

    def __init__(self) -> None:
        asked = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        self._process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def share(self) -> float | None:
        self._process.terminate()
        said = self._process.communicate()[0].split()
        values = [int(value) for value in said if value.isdigit()]
        return sum(values) / len(values) / 100 if values else None


def busy(profiled: profile) -> tuple[float, int]:
    """Seconds in which the GPU did something, and the number of kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiled.export_chrome_trace(str(path))
        events = json.loads(path.read_bytes())["traceEvents"]
    spans = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") in _ON_THE_GPU)
    return covered(spans) / 1e6, len(spans)


def covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union of spans, which are sorted by their beginnings."""
    total, end = 0.0, float("-inf")
    for first, last in spans:
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def _finished(on_gpu: bool) -> None:
    if on_gpu:
        torch.cuda.synchronize()


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"

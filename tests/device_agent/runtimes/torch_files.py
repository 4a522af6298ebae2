"""A small network, the files that torch makes of it, and ways to change them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from edgewright.device_agent.isolation import run_isolated
from edgewright.device_agent.timing import TimingProtocol
from torch import nn

QUICK = TimingProtocol(n_warmup_min=1, warmup_max_ms=20, n_runs=5, min_time_ms=1)
ZEROS = np.zeros((1, 3, 8, 8), np.float32)
Change = Callable[[dict[str, bytes]], None]


class Small(nn.Module):
    """A convolution, a buffer and a constant: what an archive stores in three different places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("scale", torch.full((4, 1, 1), 2.0))
        self.offset = torch.ones(4, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(self.conv(x), approximate="tanh") * self.scale + self.offset


def exported(network: nn.Module, *inputs: torch.Tensor, **options: Any) -> bytes:
    """In a child, since exporting starts CUDA, and what this process has started its measuring children cannot use."""

    def export() -> tuple[dict[str, Any], bytes]:
        buffer = io.BytesIO()
        torch.export.save(torch.export.export(network.eval(), inputs, **options), buffer)
        return {}, buffer.getvalue()

    made = run_isolated(export, 120, 1 << 20)
    assert made.error is None, made.error
    return made.payload


def scripted(program: Any, **extra: str) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(program, buffer, _extra_files={f"{name}.json": text for name, text in extra.items()})
    return buffer.getvalue()


def changed(content: bytes, change: Change) -> bytes:
    """The archive with its members changed, by their names below the root folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {entry.filename.partition("/")[2]: archive.read(entry) for entry in archive.infolist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"model/{name}", data)
    return buffer.getvalue()


def torch_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def in_json(name: str, edit: Callable[[Any], None]) -> Change:
    def change(members: dict[str, bytes]) -> None:
        document = json.loads(members[name])
        edit(document)
        members[name] = json.dumps(document).encode()

    return change


def first_node(**fields: Any) -> Change:
    return in_json("models/model.json", lambda program: program["graph_module"]["graph"]["nodes"][0].update(fields))

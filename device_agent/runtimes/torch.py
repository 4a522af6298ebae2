"""Executes torch.export's .pt2 archives and traced TorchScript, on a GPU if torch can use one."""

from __future__ import annotations

import importlib
import inspect
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Iterator

import numpy as np

from ..isolation import WorkFailed
from .base import (
    AS_IT_IS,
    Call,
    CallRefused,
    ModelLoadError,
    ModelRunError,
    TensorSpec,
    check_input,
    check_shapes,
    listing,
)
from .cuda import Cuda, find_cuda
from .torch_archive import Archive, ExampleInput, safe_export, safe_script, script_inputs
from .torch_profile import profile_operators

# Loading a .pt2 needs these modules. Imported before the fork, they cost the children nothing.
_EXPORT_MODULES = (
    "torch.export.pt2_archive._package",
    "torch.export._unlift",
    "torch._export.passes.add_runtime_assertions_for_constraints_pass",
    "torch._inductor.cpp_builder",
)


def import_torch() -> TorchRuntime:
    """Import torch. Raises `ImportError` or `OSError` when it is missing or broken."""
    torch = importlib.import_module("torch")
    for name in _EXPORT_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # elsewhere in this version of torch, which imports it when it loads a .pt2
    return TorchRuntime(torch)


class TorchRuntime:
    name = "torch"

    def __init__(self, torch: Any) -> None:
        self.version: str | None = str(torch.__version__)
        self._torch = torch

    def accepts(self, content: bytes) -> bool:
        return content[:4] == b"PK\3\4"

    def load(self, content: bytes, threads: int, call: Call = AS_IT_IS) -> TorchModel:
        """Call it in a process of its own: it sets the number of threads permanently and starts CUDA."""
        archive = Archive(content)
        if call.signature is not None:
            raise CallRefused(f"the model has no signature {call.signature!r}; a program of torch is one function only")
        self._torch.set_num_threads(threads)
        try:
            cuda = find_cuda(self._torch)
            with nullcontext() if cuda is None else cuda.exhaustion_named():
                return self._open(archive, call, cuda)
        except (ModelLoadError, MemoryError, WorkFailed):
            raise
        except Exception as error:  # torch raises all kinds of errors for an invalid file
            said = f"{type(error).__name__}: {error}"
            raise ModelLoadError(
                f"torch {self.version} cannot load this model ({len(content)} bytes): {said:.1000}"
            ) from error

    def _open(self, archive: Archive, call: Call, cuda: Cuda | None) -> TorchModel:
        if archive.is_export:
            return self._open_export(archive, call, cuda)
        if archive.is_script:
            return self._open_script(archive, call, cuda)
        raise ModelLoadError(
            "the zip archive is neither a .pt2 of torch.export.save (torch 2.8 or newer) nor TorchScript; "
            "save it as one of them"
        )

    def _open_export(self, archive: Archive, call: Call, cuda: Cuda | None) -> TorchModel:
        program = self._torch.export.load(safe_export(archive))
        inputs = _inputs_of(program)
        check_shapes(call, inputs)
        if any(call.shapes.get(spec.name, spec.shape) != spec.shape for spec in inputs):
            raise CallRefused(f"the model takes the shapes that it was exported with, and no others: {listing(inputs)}")
        if cuda is not None:
            passes = importlib.import_module("torch.export.passes")
            program = passes.move_to_device_pass(program, cuda.name)
        # Skip the guards: `check_input` has checked the same. Older versions of torch have none.
        unguarded = "check_guards" in inspect.signature(program.module).parameters
        module = program.module(check_guards=False) if unguarded else program.module()
        return TorchModel(self._torch, module, inputs, cuda)

    def _open_script(self, archive: Archive, call: Call, cuda: Cuda | None) -> TorchModel:
        examples = script_inputs(archive)
        if examples is None:
            raise ModelLoadError(
                "this TorchScript does not describe its inputs; save a traced module (torch.jit.trace), or add to "
                """torch.jit.save: _extra_files={"inputs.json": '[{"shape": [1, 3, 224, 224], "dtype": "float32"}]'}"""
            )
        traced = _named(examples)
        check_shapes(call, traced)
        inputs = tuple(replace(spec, shape=call.shapes.get(spec.name, spec.shape)) for spec in traced)
        module = self._torch.jit.load(safe_script(archive), map_location="cpu" if cuda is None else cuda.name)
        return TorchModel(self._torch, module.eval(), inputs, cuda)


class TorchModel:
    """A loaded program. Asking for its outputs runs it once, since only a run shows them."""

    keeps_content = False
    signature: str | None = None
    signatures: tuple[str, ...] = ()

    def __init__(self, torch: Any, program: Any, inputs: tuple[TensorSpec, ...], accelerator: Cuda | None) -> None:
        self.inputs = inputs
        self.accelerator = accelerator
        self.device = "cpu" if accelerator is None else accelerator.name
        self._guarded = nullcontext if accelerator is None else accelerator.exhaustion_named
        self._torch = torch
        self._program = program
        self._values = [self._tensor(np.zeros(spec.shape, spec.dtype)) for spec in inputs]
        self._results: list[Any] = []

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        results = [self.output(position) for position in range(len(self._run_once()))]
        return tuple(TensorSpec(f"output_{index}", value.shape, value.dtype) for index, value in enumerate(results))

    def set_input(self, position: int, value: np.ndarray) -> None:  # type: ignore[type-arg]
        check_input(self.inputs[position], value)
        self._values[position] = self._tensor(value)

    def invoke(self) -> None:
        with self._guarded(), self._torch.inference_mode():
            self._results = list(_leaves(self._program(*self._values)))

    def output(self, position: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.array(self._results[position].cpu().numpy())

    def per_op(self, n_runs: int) -> list[dict[str, Any]]:
        return profile_operators(self._torch, self.invoke, n_runs, self.accelerator is not None)

    def _run_once(self) -> list[Any]:
        if not self._results:
            self.invoke()
        return self._results

    def _tensor(self, value: np.ndarray) -> Any:  # type: ignore[type-arg]
        return self._torch.from_numpy(np.array(value)).to(self.device)


def _inputs_of(program: Any) -> tuple[TensorSpec, ...]:
    """Raises `ModelLoadError` when the exported program takes anything but plain positional tensors."""
    nodes = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    names = program.graph_signature.user_inputs
    nested, keywords = program.call_spec.in_spec.children()
    if keywords.num_leaves or nested.num_leaves != len(nested.children()) or not all(name in nodes for name in names):
        raise ModelLoadError("the model takes nested or keyword inputs; export it with plain tensors as its arguments")
    return tuple(_spec(str(name), nodes[name]) for name in names)


def _spec(name: str, value: Any) -> TensorSpec:
    dtype = str(value.dtype).rpartition(".")[2]
    return TensorSpec(name, tuple(int(size) for size in value.shape), np.dtype(dtype))


def _named(examples: list[ExampleInput]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(f"input_{index}", shape, dtype) for index, (shape, dtype) in enumerate(examples))


def _leaves(value: Any) -> Iterator[Any]:
    """The tensors of nested tuples, lists and dictionaries, in order. Raises `ModelRunError` for anything else."""
    if isinstance(value, (tuple, list, dict)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _leaves(entry)
    elif hasattr(value, "numpy"):
        yield value
    else:
        raise ModelRunError(f"the model returns a {type(value).__name__}; let it return tensors")

"""Does slicing equal gating, in numbers? Sees what the graph does not show: sizes written into the code.

The check runs on a float64 copy whose norms, biases and constant tensors are randomised: a zero-initialised last batch
norm or a layer scale of 1e-6 would hide a branch, and the comparison would hold for any slice.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ...errors import InputError
from ..extraction import Extractor
from ..gating import GateState, attach, detach, ones
from ..plan import SupernetPlan

TOLERANCE = 1e-8
VACUITY_DRAWS = 3
COMBINATION = "self-check: sliced and gated outputs differ only in combination with other sites"
VACUOUS = "self-check: its gates do not change the output"

# What a module raises when a size it relies on was sliced away.
_SHAPE_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError)
_NOT_THE_MODEL = Path(torch.__file__).parent, Path(__file__).parents[2]


def self_check(backbone: nn.Module, plan: SupernetPlan, example: Tensor, generator: torch.Generator) -> dict[str, str]:
    """The sites, with the reason, whose sliced model differs from the gated one. The backbone is not touched.

    Raises:
        InputError: the backbone cannot be copied or run in float64, or its output is not finite.
    """
    if not plan.sites:
        return {}
    check = _Check(backbone, plan, example, generator)
    failed = check.vacuous()
    survivors = [i for i, site in enumerate(plan.sites) if site.name not in failed]
    differing = check.differing(survivors)
    while True:
        failed.update({plan.sites[i].name: reason for i, reason in differing.items()})
        survivors = [i for i in survivors if i not in differing]
        # Other units are closed this time: a culprit may have gone free where what it does was gated away.
        if not survivors or check.difference(survivors) in (None, VACUOUS):
            return failed
        differing = check.differing(survivors) or dict.fromkeys(survivors, COMBINATION)


class _Check:
    def __init__(self, backbone: nn.Module, plan: SupernetPlan, example: Tensor, generator: torch.Generator) -> None:
        self._plan, self._generator = plan, generator
        self._extract = Extractor(plan)
        self._state = GateState()
        self._model = _copied(backbone).double().eval().requires_grad_(False)
        detach(self._model)
        attach(self._model, plan, self._state)
        self._x = example.detach().double()
        self._randomise()
        self._open = self._reference()

    def vacuous(self) -> dict[str, str]:
        """Sites whose gates have no gradient, under several draws of weights and inputs."""
        silent = self._silent()
        for _ in range(VACUITY_DRAWS - 1):
            if not silent:
                break
            self._randomise()
            silent &= self._silent()
        self._open = self._reference()
        return {self._plan.sites[i].name: VACUOUS for i in silent}

    def differing(self, sites: Sequence[int]) -> dict[int, str]:
        """Bisection: all sites at once, and halves of what fails."""
        reason = self.difference(sites) if sites else None
        if reason is None:
            return {}
        if len(sites) == 1:
            for _ in range(VACUITY_DRAWS - 1):  # the units that were closed may all be dead ones
                reason = self.difference(sites) if reason == VACUOUS else reason
            return {} if reason is None else {sites[0]: reason}
        half = len(sites) // 2
        return {**self.differing(sites[:half]), **self.differing(sites[half:])}

    @torch.no_grad()
    def difference(self, sites: Sequence[int]) -> str | None:
        """Close half of the units of these sites, in one set of gates given per sample; why it fails, or None."""
        open_units = [torch.arange(site.width) for site in self._plan.sites]
        gates = ones(self._plan.space.total, self._x)
        for i in sites:
            site, where = self._plan.sites[i], self._plan.space.slices[i]
            order = torch.randperm(site.width, generator=self._generator)
            open_units[i] = order[: max(1, site.width // 2)].sort().values
            gates[where.start + order[max(1, site.width // 2) :]] = 0
        try:
            gated = self._run(gates.repeat(len(self._x), 1))
            sliced = _flat(self._extract(self._model, open_units)(self._x))
        except _SHAPE_ERRORS as error:
            return f"self-check: the sliced model does not run{_where(error)} ({_first_line(error)})"
        if gated.shape != sliced.shape:
            return f"self-check: the sliced model's output has {sliced.numel()} elements instead of {gated.numel()}"
        error_share = float((gated - sliced).abs().max() / sliced.abs().max().clamp_min(1e-300))
        if not error_share <= TOLERANCE:  # NaN must fail
            return f"self-check: sliced and gated outputs differ by {error_share:.1e} of the largest output"
        return VACUOUS if torch.equal(gated, self._open) else None

    def _silent(self) -> set[int]:
        gates = ones(self._plan.space.total, self._x).repeat(len(self._x), 1).requires_grad_()
        with torch.enable_grad():
            try:
                output = self._run(gates)
            except _SHAPE_ERRORS:  # `difference` runs the same gates, and reports it
                return set()
            if not output.requires_grad:
                return set(range(len(self._plan.sites)))
            direction = torch.randn(output.shape, generator=self._generator, dtype=output.dtype).to(output.device)
            (gradient,) = torch.autograd.grad(output @ direction, gates)  # (B, N)
        return {i for i, where in enumerate(self._plan.space.slices) if not gradient[:, where].any()}

    def _run(self, gates: Tensor | None) -> Tensor:
        self._state.gates = gates
        try:
            return _flat(self._model(self._x))
        finally:
            self._state.gates = None

    @torch.no_grad()
    def _reference(self) -> Tensor:
        try:
            output = self._run(None)
        except RuntimeError as error:
            raise InputError(f"the backbone does not run in float64, which the self-check needs: {error}") from error
        if not torch.isfinite(output).all():
            raise InputError("the backbone's output is not finite on a randomised copy; the self-check cannot judge it")
        return output

    @torch.no_grad()
    def _randomise(self) -> None:
        for tensor in (*self._model.parameters(), *self._model.buffers()):
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            if tensor.dim() <= 1 or bool((tensor == tensor.flatten()[0]).all()):
                tensor.copy_(torch.rand(tensor.shape, generator=self._generator, dtype=tensor.dtype) + 0.5)


def _copied(backbone: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(backbone)
    except RuntimeError as error:  # a tensor that is no parameter but was computed from some
        raise InputError(
            f"{type(backbone).__name__} cannot be copied, and so no subnet cut out of it ({_first_line(error)}); "
            f"if it uses torch.nn.utils.weight_norm, use torch.nn.utils.parametrizations.weight_norm"
        ) from error


def _where(error: Exception) -> str:
    """The line of the model's code that cannot do with fewer channels, if it is one of the model's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(Path(frame.filename).is_relative_to(folder) for folder in _NOT_THE_MODEL)
    ]
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}, `{frames[-1].line}`" if frames else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _flat(output: object) -> Tensor:
    """All floating-point tensors of a model's output as one vector."""
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    if not leaves:
        raise InputError("the backbone returns no floating-point tensor; the self-check has nothing to compare")
    return torch.cat([leaf.flatten() for leaf in leaves])

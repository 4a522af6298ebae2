"""The last lines of a customisation: the result, compared with the request."""

from __future__ import annotations

from edgewright.converters.precision import Precision

from ..customize.artifact import Artifact
from ..wording import bytes_text, counted, size_text

_UNITS = {"latency_ms": "ms", "memory_mib": "MiB", "size_mib": "MiB"}
_NAMES = {"latency_ms": "latency", "memory_mib": "memory", "size_mib": "file"}


def verdict_rows(artifact: Artifact) -> dict[str, str]:
    """What a person wants to know, in the order of interest."""
    scores, candidate = artifact.scores, artifact.candidate
    rows = {
        "task": str(artifact.scenario.task),
        "device": artifact.scenario.device,
        scores.name.title: f"{scores.on_device:.1%} on {scores.n_images} unseen test images, on the device",
    }
    for name in ("latency_ms", "memory_mib"):
        rows[_NAMES[name]] = _cost_row(artifact, name)
    rows["file"] = f"{artifact.path}, {bytes_text(artifact.size_bytes)}"
    if artifact.scenario.budget.size_mib is not None:
        rows["file"] += f" of {size_text(artifact.scenario.budget.size_mib)}"
    if artifact.precision is not Precision.FLOAT32:
        rows["precision"] = (
            f"{artifact.precision}; in float32 the file has {bytes_text(artifact.float32_bytes)}, the "
            f"{scores.name.title} is {scores.in_torch:.1%}, and {scores.agreement:.1%} of "
            "the answers are the same"
        )
    if artifact.device_path is not None:
        rows["on the device"] = artifact.device_path
    limit = f"limit {candidate.request.limit:.0%}" + (", then filled up to the budget" if candidate.filled else "")
    rows["modules"] = f"{candidate.gates.ratio:.1%} of the supernet's are open ({limit})"
    rows["parity"] = f"largest difference to PyTorch {artifact.delivery.parity_max_abs:.1e}"
    rows["time"] = (
        f"{artifact.customize_s:.3f} s from request to file, {artifact.total_s:.1f} s with the device's verdict "
        f"({counted(artifact.tries, 'try', 'tries')})"
    )
    return rows


def _cost_row(artifact: Artifact, name: str) -> str:
    """For instance: 0.198 ms measured, 0.201 predicted (below 0.22 at 95%), budget 0.25 (79 % used)."""
    measured, predicted = getattr(artifact.measured, name), getattr(artifact.candidate.predicted, name)
    if measured is None:
        return "the device does not report it"
    parts = [f"{measured:.3f} {_UNITS[name]} measured"]
    if name == "latency_ms":
        low, high = artifact.delivery.latency_spread_ms
        parts[0] += f" ({low:.3f} to {high:.3f})"
    if predicted is not None:
        upper = getattr(artifact.candidate.estimate.upper, name)
        sure = f" (below {upper:.3f} at {artifact.candidate.estimate.confidence:.0%})" if upper > predicted else ""
        parts.append(f"{predicted:.3f} predicted{sure}")
    bound = getattr(artifact.scenario.budget, name)
    parts.append("no budget" if bound is None else f"budget {bound:.3f}, {measured / bound:.0%} of it used")
    return ", ".join(parts)

"""How each operation of a `torch.export` graph relates the axes of its result to those of its operands.

A rule refuses what it cannot keep independent per channel: unknown means whole, never silently wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgewright.converters.axes import Axes, Axis
from torch.fx import Node

from . import attention, images, norms  # noqa: F401 - each registers its rules
from .calls import RULES, Call, Result, innermost, no_rule, rule

_UNFORESEEN = (IndexError, KeyError, TypeError, ValueError)


def apply_rule(call: Call) -> Result:
    """The axes of an operation's result. A form that its rule does not foresee is refused like an unknown operation."""
    try:
        return RULES.get(call.op, no_rule)(call)
    except _UNFORESEEN:  # what the rule joined before only makes classes larger
        return no_rule(call)


@rule(
    "relu relu6 hardswish hardsigmoid hardtanh sigmoid silu gelu tanh elu leaky_relu softplus mish clamp clamp_min "
    "clamp_max neg exp sqrt rsqrt square abs dropout feature_dropout contiguous clone detach alias to _to_copy erf "
    "selu log_sigmoid pow reciprocal type_as logical_not bitwise_not sin cos zeros_like ones_like"
)
def elementwise(call: Call) -> Result:
    if call.op in ("pow", "clamp", "clamp_min", "clamp_max"):  # the exponent or limit may be a tensor
        return call.classes.broadcast(call.inputs)
    return list(call.inputs[0])


@rule("add sub mul div maximum minimum where addcmul addcdiv")
def arithmetic(call: Call) -> Result:
    return call.classes.broadcast(call.inputs, scaling=call.op in ("mul", "div"))


@rule("prelu")
def prelu(call: Call) -> Result:
    slopes = call.axes(call.args["weight"])[0]
    if slopes:  # a single slope is shared by all channels
        call.classes.join(call.x[1], slopes)
    return call.x


@rule("pad constant_pad_nd")
def pad(call: Call) -> Result:
    amounts, result = call.args["pad"], list(call.x)
    for i in range(len(amounts) // 2):
        if amounts[2 * i] or amounts[2 * i + 1]:
            call.classes.refuse([result[-1 - i]], "padded")
            result[-1 - i] = call.classes.fresh([call.shape[-1 - i]], "padded")[0]
    return result


def _dims(call: Call, rank: int) -> set[int]:
    dims = call.args.get("dim", call.args.get("dims"))
    if dims is None or dims == []:
        return set(range(rank))
    return {dim % rank for dim in ([dims] if isinstance(dims, int) else dims)}


@rule("mean sum amax linalg_vector_norm var")
def reduction(call: Call) -> Result:
    x = call.x
    dims = _dims(call, len(x))
    call.classes.refuse([x[i] for i in dims], f"{call.op} over the axis")
    if call.args.get("keepdim", False):
        return [() if i in dims else axis for i, axis in enumerate(x)]
    return [axis for i, axis in enumerate(x) if i not in dims]


@rule("softmax log_softmax roll cumsum")
def mixing(call: Call) -> Result:
    call.classes.refuse([call.x[i] for i in _dims(call, len(call.x))], f"{call.op} over the axis")
    return list(call.x)


@rule("permute")
def permute(call: Call) -> Result:
    return [call.x[dim] for dim in call.args["dims"]]


@rule("transpose t swapaxes")
def transpose(call: Call) -> Result:
    result = list(call.x)
    if len(result) < 2:
        return result
    names = ("dim0", "dim1") if "dim0" in call.args else ("axis0", "axis1")
    a, b = (call.args.get(name, i) % len(result) for i, name in enumerate(names))
    result[a], result[b] = result[b], result[a]
    return result


@rule("reshape view flatten unflatten reshape_as view_as unsqueeze squeeze _unsafe_view")
def reshape(call: Call) -> Result:
    result = call.classes.reshape(call.x, call.shape)
    call.sizes.of_reshape(innermost(call.node), call.x, result)
    return result


@rule("expand expand_as")
def expand(call: Call) -> Result:
    shape = call.shape
    axes: Axes = [()] * (len(shape) - len(call.x)) + call.x
    for i, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if axis or size == 1:
            continue
        # A class token expanded to the batch size is, as far as gates are concerned, the batch.
        axes[i] = (call.batch,) if i == 0 and size == call.batch_size else call.classes.fresh([size])[0]
        call.sizes.of_axis(innermost(call.node), axes[i])
    return axes


@rule("cat concat concatenate")
def concatenate(call: Call) -> Result:
    operands = [call.axes(node) for node in call.args["tensors"]]
    where = call.args["dim"] % len(call.shape)
    for i in range(len(call.shape)):
        for axes in operands:
            if i != where:
                call.classes.join(operands[0][i], axes[i])
    result = list(operands[0])
    result[where] = (call.classes.concatenate([call.classes.merged(axes[where]) for axes in operands]),)
    return result


@rule("stack")
def stack(call: Call) -> Result:
    result = list(call.classes.broadcast([call.axes(node) for node in call.args["tensors"]]))
    where = call.args["dim"] % len(call.shape)
    return [*result[:where], *call.classes.fresh([call.shape[where]], "stacked"), *result[where:]]


@rule("split split_with_sizes chunk tensor_split")
def split(call: Call) -> Result:
    """Parts of one size are sliced alike: what asks for parts of a size, or for a number of parts, gets equal ones."""
    shapes = [value.shape for value in call.node.meta["val"]]
    x, where = call.x, call.args["dim"] % len(call.x)
    sizes = [int(shape[where]) for shape in shapes]
    parts = _parts(call, x[where], sizes)
    if call.op in ("split", "chunk") and len(set(sizes)) == 1:
        for part in parts[1:]:
            call.classes.join(parts[0], part)
    elif call.op == "chunk":
        call.classes.refuse([x[where]], "chunks of different size")
    call.sizes.of_split(innermost(call.node), parts, sizes)
    return tuple([*x[:where], part, *x[where + 1 :]] for part in parts)


def _parts(call: Call, axis: Axis, sizes: Sequence[int], start: int = 0) -> list[Axis]:
    """The axis cut into consecutive parts; one of a single channel has no factor, and stays."""
    if not axis or not all(sizes):
        call.classes.refuse([axis], f"{call.op} along the axis")
        return call.classes.fresh(sizes, f"{call.op} along the axis")
    factor = call.classes.merged(axis)
    parts: list[Axis] = []
    for size in sizes:
        part = call.classes.part(factor, start, start + size)
        if size == 1:
            call.classes.refuse([(part,)], "a single channel is taken out of the axis")
        parts.append((part,) if size != 1 else ())
        start += size
    return parts


@rule("slice narrow")
def section(call: Call) -> Result:
    x, shape = call.x, call.shape
    full = call.source.meta["val"].shape
    where = call.args["dim"] % len(x)
    if shape == full:
        return x
    if call.args.get("step", 1) != 1:
        call.classes.refuse([x[where]], f"{call.op} along the axis")
        return [*x[:where], *call.classes.fresh([shape[where]], "part of an axis"), *x[where + 1 :]]
    start = call.args.get("start") or 0
    start = min(start if start >= 0 else start + full[where], full[where])
    return [*x[:where], *_parts(call, x[where], [int(shape[where])], start), *x[where + 1 :]]


@rule("unbind select")
def picked(call: Call) -> Result:
    x, where = call.x, call.args["dim"] % len(call.x)
    call.classes.refuse([x[where]], f"{call.op} along the axis")
    result = x[:where] + x[where + 1 :]
    return tuple(result for _ in call.node.meta["val"]) if call.op == "unbind" else result


@rule("index")
def indexed(call: Call) -> Result:
    """A table looked up along one axis, as relative position biases are."""
    axes = [i for i, index in enumerate(call.args["indices"]) if isinstance(index, Node)]
    if len(axes) != 1:
        return no_rule(call)
    (where,) = axes
    call.classes.refuse([call.x[where]], "indexed along the axis")
    index_rank = len(call.args["indices"][where].meta["val"].shape)
    looked_up = call.classes.fresh(call.shape[where : where + index_rank], "indexed along the axis")
    return [*call.x[:where], *looked_up, *call.x[where + 1 :]]

"""The slicing rules of TFLite operators: how the axes of an operator's output follow from those of its inputs.

An operator without a rule keeps all its axes whole.

Layouts: activations `(B, H, W, C)`, filters of CONV_2D `(C out, kh, kw, C in)`, of DEPTHWISE_CONV_2D `(1, kh, kw, C)`,
of FULLY_CONNECTED `(C out, C in)`, of TRANSPOSE_CONV as of CONV_2D.
"""

from __future__ import annotations

from collections.abc import Callable

from .axes import Axes, Axis
from .flatbuffer import Operator
from .tensor_axes import TensorAxes

Rule = Callable[[TensorAxes, Operator], Axes]


def apply_rule(axes: TensorAxes, operator: Operator) -> None:
    """Relate the axes of an operator's tensors.

    A rule returns the axes of the first output, and sets those of any others itself.
    """
    rule = RULES.get(operator.name)
    if rule is not None:
        axes.make(operator.outputs[0], rule(axes, operator))
        return
    for tensor in operator.inputs + operator.outputs:
        axes.fix(operator, axes.of(tensor), "for which there is no slicing rule")


def _conv(axes: TensorAxes, operator: Operator) -> Axes:
    x, weight, *bias = operator.inputs
    made, *_, summed = axes.of(weight)
    for each in bias:
        axes.join(operator, axes.of(each)[0], made)
    per_group, width = axes.length(weight, -1), axes.length(x, -1)
    if width == per_group:
        axes.join(operator, axes.of(x)[-1], summed)
        return [*_window(axes, operator, x), made]
    n_groups = width // per_group
    groups = axes.relations.new(n_groups)
    for axis, n_channels in ((axes.of(x)[-1], per_group), (made, axes.length(weight, 0) // n_groups)):
        axes.join(operator, axis, (axes.relations.scale(groups, n_channels),))
    axes.fix(operator, [summed], "whose groups it is a part of")
    return [*_window(axes, operator, x), made]


def _transpose_conv(axes: TensorAxes, operator: Operator) -> Axes:
    """Its first operand holds the axis lengths of its result."""
    lengths, weight, x, *bias = operator.inputs
    made, *_, summed = axes.of(weight)
    for each in bias:
        axes.join(operator, axes.of(each)[0], made)
    axes.join(operator, axes.of(x)[-1], summed)
    result = [*_window(axes, operator, x), made]
    _repeat(axes, lengths, result)
    return result


def _depthwise(axes: TensorAxes, operator: Operator) -> Axes:
    x, weight, *bias = operator.inputs
    made, source = axes.of(weight)[-1], axes.of(x)[-1]
    for each in bias:
        axes.join(operator, axes.of(each)[0], made)
    if operator.options.depthMultiplier == 1:
        axes.join(operator, source, made)
    elif axes.length(x, -1) == 1:  # how the converter writes an ordinary convolution of a one-channel image
        axes.options[operator.index, "depthMultiplier"] = made
    else:
        units = axes.relations.merged(source)
        axes.join(operator, (axes.relations.scale(units, operator.options.depthMultiplier),), made)
    return [*_window(axes, operator, x), made]


def _fully_connected(axes: TensorAxes, operator: Operator) -> Axes:
    x, weight, *bias = operator.inputs
    made, summed = axes.of(weight)
    *others, last = axes.of(x)
    axes.join(operator, last, summed)
    for each in bias:
        axes.join(operator, axes.of(each)[0], made)
    if operator.options.keepNumDims:
        return [*others, made]
    axes.fix(operator, others, "which flattens it")
    shape = axes.shape(operator.outputs[0])
    return [*(axes.fresh(operator, length, "which flattens it") for length in shape[:-1]), made]


def _unary(axes: TensorAxes, operator: Operator) -> Axes:
    return axes.of(operator.inputs[0])


def _softmax(axes: TensorAxes, operator: Operator) -> Axes:
    x = axes.of(operator.inputs[0])
    axes.fix(operator, x[-1:], "which normalises over it")
    return x


def _broadcast(axes: TensorAxes, operator: Operator) -> Axes:
    return axes.relations.broadcast([axes.of(tensor) for tensor in operator.inputs])


def _broadcast_to(axes: TensorAxes, operator: Operator) -> Axes:
    """An axis of length one is repeated; whether the repetitions follow a site depends on what it is combined with."""
    x, lengths = operator.inputs
    shape = axes.shape(operator.outputs[0])
    known = [()] * (len(shape) - axes.rank(x)) + axes.of(x)
    made = [axis or axes.relations.fresh([length])[0] for axis, length in zip(known, shape, strict=True)]
    _repeat(axes, lengths, made)
    return made


def _pad(axes: TensorAxes, operator: Operator) -> Axes:
    x, paddings = operator.inputs[:2]
    made: Axes = []
    for axis, (before, after), length in zip(
        axes.of(x), axes.graph.value(paddings).tolist(), axes.shape(operator.outputs[0]), strict=True
    ):
        if before == after == 0:
            made.append(axis)
            continue
        axes.fix(operator, [axis], "which pads it")
        made.append(axes.fresh(operator, length, "which pads it"))
    return made


def _pool(axes: TensorAxes, operator: Operator) -> Axes:
    x = operator.inputs[0]
    return [*_window(axes, operator, x), axes.of(x)[3]]


def _window(axes: TensorAxes, operator: Operator, x: int) -> Axes:
    """The batch passes through. Neighbours mix along H and W, so channels that became image axes stay whole."""
    batch, *image, _ = axes.of(x)
    axes.fix(operator, image, "which works across it")
    shape = axes.shape(operator.outputs[0])
    return [batch, *(axes.fresh(operator, length, "which works across it") for length in shape[1:3])]


def _transpose(axes: TensorAxes, operator: Operator) -> Axes:
    x, permutation = operator.inputs
    return [axes.of(x)[source] for source in axes.integers(permutation)]


def _reduce(axes: TensorAxes, operator: Operator) -> Axes:
    x = axes.of(operator.inputs[0])
    reduced = {axis % len(x) for axis in axes.integers(operator.inputs[1])}
    axes.fix(operator, [x[axis] for axis in reduced], "which reduces over it")
    if operator.options.keepDims:
        return [() if i in reduced else axis for i, axis in enumerate(x)]
    return [axis for i, axis in enumerate(x) if i not in reduced]


def _reshape(axes: TensorAxes, operator: Operator) -> Axes:
    shape = axes.shape(operator.outputs[0])
    made = axes.relations.reshape(axes.of(operator.inputs[0]), shape)
    if operator.name == "RESHAPE" and len(operator.inputs) > 1:
        _repeat(axes, operator.inputs[1], made)
    return made


def _concatenation(axes: TensorAxes, operator: Operator) -> Axes:
    parts = [axes.of(tensor) for tensor in operator.inputs]
    joined = operator.options.axis % len(parts[0])
    made = list(parts[0])
    for part in parts[1:]:
        for axis in range(len(made)):
            if axis != joined:
                axes.join(operator, made[axis], part[axis])
    made[joined] = (axes.relations.concatenate([axes.relations.merged(part[joined]) for part in parts]),)
    return made


def _slice(axes: TensorAxes, operator: Operator) -> Axes:
    x, begins, sizes = operator.inputs
    made: Axes = []
    for i, (axis, begin) in enumerate(zip(axes.of(x), axes.integers(begins), strict=True)):
        made.append(axes.part(axis, begin, axes.length(operator.outputs[0], i)))
        if begin:
            axes.extents[begins, i] = axes.part(axis, 0, begin)
    _repeat(axes, sizes, made)
    return made


def _strided_slice(axes: TensorAxes, operator: Operator) -> Axes:
    """Sliced if it takes consecutive elements, else whole. The shapes already reflect its masks."""
    x, begins, ends, strides = operator.inputs
    y, options = operator.outputs[0], operator.options
    if set(axes.integers(strides)) != {1} or options.shrinkAxisMask or options.newAxisMask or options.ellipsisMask:
        return _whole(axes, operator)
    made: Axes = []
    for i, (axis, begin, end) in enumerate(zip(axes.of(x), axes.integers(begins), axes.integers(ends), strict=True)):
        begin = 0 if options.beginMask >> i & 1 else begin
        if begin < 0 or end < 0 and not options.endMask >> i & 1:
            return _whole(axes, operator)
        length = axes.length(y, i)
        made.append(axes.part(axis, begin, length))
        if begin:
            axes.extents[begins, i] = axes.part(axis, 0, begin)
        if not options.endMask >> i & 1 and end == begin + length:
            axes.extents[ends, i] = axes.part(axis, 0, end)
    return made


def _split(axes: TensorAxes, operator: Operator) -> Axes:
    """The parts have one size and are sliced alike."""
    where, x = operator.inputs
    factors = axes.of(x)
    (joined,) = (axis % len(factors) for axis in axes.integers(where))
    length, parts = axes.length(operator.outputs[0], joined), []
    for i in range(len(operator.outputs)):
        parts.append(axes.part(factors[joined], i * length, length))
        axes.join(operator, parts[0], parts[-1])
    for tensor, part in zip(operator.outputs[1:], parts[1:], strict=True):
        axes.make(tensor, _with(factors, joined, part))
    return _with(factors, joined, parts[0])


def _batch_matmul(axes: TensorAxes, operator: Operator) -> Axes:
    """`(..., M, K) @ (..., K, N)`, each possibly transposed. Leading axes, such as attention's heads, can be sliced."""
    a, b = (axes.of(tensor) for tensor in operator.inputs)
    axes.fix(operator, a[-2:] + b[-2:], "which sums over it or works across it")
    m = a[-1] if operator.options.adjX else a[-2]
    n = b[-2] if operator.options.adjY else b[-1]
    return [*axes.relations.broadcast([a[:-2], b[:-2]]), m, n]


def _gather(axes: TensorAxes, operator: Operator) -> Axes:
    """Looks up along one axis, which stays whole."""
    x, indices = operator.inputs
    if operator.options.batchDims:
        return _whole(axes, operator)
    factors = axes.of(x)
    where = operator.options.axis % len(factors)
    axes.fix(operator, [factors[where]], "which looks up along it")
    looked_up = [axes.fresh(operator, length, "which looks up along it") for length in axes.shape(indices)]
    return [*factors[:where], *looked_up, *factors[where + 1 :]]


def _gather_nd(axes: TensorAxes, operator: Operator) -> Axes:
    """Looks up along the first axes, which stay whole."""
    x, indices = operator.inputs
    *lengths, depth = axes.shape(indices)
    factors = axes.of(x)
    axes.fix(operator, factors[:depth], "which looks up along it")
    return [*(axes.fresh(operator, length, "which looks up along it") for length in lengths), *factors[depth:]]


def _whole(axes: TensorAxes, operator: Operator) -> Axes:
    axes.fix(operator, axes.of(operator.inputs[0]), "which picks from it")
    return [axes.fresh(operator, length, "which picks from it") for length in axes.shape(operator.outputs[0])]


def _with(axes: Axes, position: int, axis: Axis) -> Axes:
    return [*axes[:position], axis, *axes[position + 1 :]]


def _repeat(axes: TensorAxes, constant: int, made: Axes) -> None:
    """Note that a constant holds the lengths of these axes; -1 leaves a length to the runtime."""
    for position, (length, axis) in enumerate(zip(axes.integers(constant), made, strict=True)):
        if length != -1:
            axes.extents[constant, position] = axis


_UNARY = (
    "RELU RELU6 RELU_N1_TO_1 GELU LOGISTIC TANH HARD_SWISH ELU LEAKY_RELU QUANTIZE DEQUANTIZE CAST NEG ABS EXP SQRT "
    "RSQRT SQUARE SIN COS LOG SIGN FLOOR CEIL ROUND LOGICAL_NOT"
).split()
_BROADCAST = (
    "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE POW PRELU GREATER GREATER_EQUAL LESS LESS_EQUAL EQUAL "
    "NOT_EQUAL LOGICAL_AND LOGICAL_OR SELECT_V2"
).split()
_POOL = "MAX_POOL_2D AVERAGE_POOL_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR".split()

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_POOL, _pool),
    **dict.fromkeys(["PAD", "PADV2", "MIRROR_PAD"], _pad),
    **dict.fromkeys(["MEAN", "SUM", "REDUCE_MAX"], _reduce),
    **dict.fromkeys(["RESHAPE", "SQUEEZE", "EXPAND_DIMS"], _reshape),
    "BATCH_MATMUL": _batch_matmul,
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}

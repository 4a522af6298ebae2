"""For every TFLite operator, how its axes hang together. An operator without a rule keeps all its axes whole.

Layouts: activations `(B, H, W, C)`, filters of CONV_2D `(C out, kh, kw, C in)`, of DEPTHWISE_CONV_2D `(1, kh, kw, C)`,
of FULLY_CONNECTED `(C out, C in)`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from .axis_classes import AxisClasses
from .flatbuffer import Operator

Rule = Callable[[AxisClasses, Operator], None]


def apply_rule(classes: AxisClasses, operator: Operator) -> None:
    rule = RULES.get(operator.name)
    if rule is not None:
        rule(classes, operator)
        return
    for tensor in operator.inputs + operator.outputs:
        classes.fix_all(tensor, f"{operator}, for which there is no slicing rule")


def _conv(classes: AxisClasses, operator: Operator) -> None:
    x, weight, *bias = operator.inputs
    y = operator.outputs[0]
    _window(classes, operator)
    for tensor in (weight, *bias):
        classes.tie(operator, tensor, 0, y, -1)
    per_group = classes.length(weight, -1)
    if classes.length(x, -1) == per_group:
        classes.tie(operator, x, -1, weight, -1)
        return
    classes.tie(operator, x, -1, y, -1)
    classes.keep_together(y, -1, per_group, f"the groups of {operator}")
    classes.fix(weight, -1, f"the groups of {operator}")


def _depthwise(classes: AxisClasses, operator: Operator) -> None:
    x, weight, *bias = operator.inputs
    y = operator.outputs[0]
    _window(classes, operator)
    for tensor in (weight, *bias):
        classes.tie(operator, tensor, -1, y, -1)
    if operator.options.depthMultiplier == 1:
        classes.tie(operator, x, -1, y, -1)
    elif classes.length(x, -1) == 1:  # how the converter writes an ordinary convolution of a one-channel image
        classes.option_repeats(operator, "depthMultiplier", y, -1)
    else:
        for tensor in (x, y):
            classes.fix(tensor, -1, f"{operator}, which makes several channels of each")


def _fully_connected(classes: AxisClasses, operator: Operator) -> None:
    x, weight, *bias = operator.inputs
    y = operator.outputs[0]
    classes.tie(operator, x, -1, weight, -1)
    for tensor in (weight, *bias):
        classes.tie(operator, tensor, 0, y, -1)
    if operator.options.keepNumDims:
        for axis in range(classes.rank(y) - 1):
            classes.tie(operator, x, axis, y, axis)
        return
    for tensor in (x, y):
        for axis in range(classes.rank(tensor) - 1):
            classes.fix(tensor, axis, f"{operator}, which flattens it")


def _unary(classes: AxisClasses, operator: Operator) -> None:
    for axis in range(classes.rank(operator.outputs[0])):
        classes.tie(operator, operator.inputs[0], axis, operator.outputs[0], axis)


def _softmax(classes: AxisClasses, operator: Operator) -> None:
    _unary(classes, operator)
    classes.fix(operator.outputs[0], -1, f"{operator}, which normalises over it")


def _broadcast(classes: AxisClasses, operator: Operator) -> None:
    y = operator.outputs[0]
    for tensor in operator.inputs:
        for axis in range(-classes.rank(tensor), 0):
            if classes.length(tensor, axis) != 1:
                classes.tie(operator, tensor, axis, y, axis)


def _pad(classes: AxisClasses, operator: Operator) -> None:
    x, paddings = operator.inputs[:2]
    y = operator.outputs[0]
    for axis, (before, after) in enumerate(classes.graph.value(paddings).tolist()):
        if before == after == 0:
            classes.tie(operator, x, axis, y, axis)
            continue
        for tensor in (x, y):
            classes.fix(tensor, axis, f"{operator}, which pads it")


def _pool(classes: AxisClasses, operator: Operator) -> None:
    _window(classes, operator)
    classes.tie(operator, operator.inputs[0], 3, operator.outputs[0], 3)


def _window(classes: AxisClasses, operator: Operator) -> None:
    """Batch passes through; along H and W neighbours mix, so channels that were turned into an image stay whole."""
    classes.tie(operator, operator.inputs[0], 0, operator.outputs[0], 0)
    for tensor in (operator.inputs[0], operator.outputs[0]):
        for axis in (1, 2):
            classes.fix(tensor, axis, f"{operator}, which works across it")


def _transpose(classes: AxisClasses, operator: Operator) -> None:
    x, permutation = operator.inputs
    for axis, source in enumerate(classes.graph.value(permutation).ravel().tolist()):
        classes.tie(operator, x, source, operator.outputs[0], axis)


def _reduce(classes: AxisClasses, operator: Operator) -> None:
    x, axes = operator.inputs
    reduced = {axis % classes.rank(x) for axis in classes.graph.value(axes).ravel().tolist()}
    left = 0
    for axis in range(classes.rank(x)):
        if axis in reduced:
            classes.fix(x, axis, f"{operator}, which reduces over it")
            left += bool(operator.options.keepDims)
        else:
            classes.tie(operator, x, axis, operator.outputs[0], left)
            left += 1


def _reshape(classes: AxisClasses, operator: Operator) -> None:
    """An axis survives when the result has one of the same length and the same number of elements behind it."""
    x, y = operator.inputs[0], operator.outputs[0]
    strides_x, strides_y = _strides(classes.graph.shape(x)), _strides(classes.graph.shape(y))
    for one, strides, other in ((x, strides_x, strides_y), (y, strides_y, strides_x)):
        for key, axis in strides.items():
            if key not in other:
                classes.fix(one, axis, f"{operator}, which splits or merges it")
    for key, axis in strides_x.items():
        if key in strides_y:
            classes.tie(operator, x, axis, y, strides_y[key])
    if operator.name == "RESHAPE" and len(operator.inputs) > 1:
        for axis, length in enumerate(classes.graph.value(operator.inputs[1]).ravel().tolist()):
            if length != -1:
                classes.repeats(operator.inputs[1], axis, y, axis)


def _strides(shape: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """(length, elements behind it) -> axis, without axes of length 1."""
    return {(length, prod(shape[axis + 1 :])): axis for axis, length in enumerate(shape) if length > 1}


def _concatenation(classes: AxisClasses, operator: Operator) -> None:
    y = operator.outputs[0]
    joined = operator.options.axis % classes.rank(y)
    for axis in range(classes.rank(y)):
        for tensor in operator.inputs:
            if axis != joined:
                classes.tie(operator, tensor, axis, y, axis)
                continue
            for end in (tensor, y):
                classes.fix(end, axis, f"{operator}, which joins it with others")


def _slice(classes: AxisClasses, operator: Operator) -> None:
    x, _, sizes = operator.inputs
    y = operator.outputs[0]
    for axis, size in enumerate(classes.graph.value(sizes).ravel().tolist()):
        classes.tie(operator, x, axis, y, axis)
        if size != -1:
            classes.repeats(sizes, axis, y, axis)


def _batch_matmul(classes: AxisClasses, operator: Operator) -> None:
    """`(..., M, K) @ (..., K, N)`, each possibly transposed."""
    a, b = operator.inputs
    y = operator.outputs[0]
    m, k_of_a = (-1, -2) if operator.options.adjX else (-2, -1)
    k_of_b, n = (-1, -2) if operator.options.adjY else (-2, -1)
    classes.tie(operator, a, m, y, -2)
    classes.tie(operator, b, n, y, -1)
    classes.tie(operator, a, k_of_a, b, k_of_b)
    for tensor in (a, b):
        for axis in range(-classes.rank(tensor), -2):
            if classes.length(tensor, axis) != 1:
                classes.tie(operator, tensor, axis, y, axis)


_UNARY = (
    "RELU RELU6 RELU_N1_TO_1 GELU LOGISTIC TANH HARD_SWISH ELU LEAKY_RELU QUANTIZE DEQUANTIZE CAST NEG ABS EXP SQRT "
    "RSQRT SQUARE SIN COS LOG"
).split()
_BROADCAST = "ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE POW PRELU".split()
_POOL = "MAX_POOL_2D AVERAGE_POOL_2D RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR".split()

RULES: dict[str, Rule] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_POOL, _pool),
    **dict.fromkeys(["PAD", "PADV2", "MIRROR_PAD"], _pad),
    **dict.fromkeys(["MEAN", "SUM", "REDUCE_MAX"], _reduce),
    **dict.fromkeys(["RESHAPE", "SQUEEZE", "EXPAND_DIMS"], _reshape),
    "BATCH_MATMUL": _batch_matmul,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "TRANSPOSE": _transpose,
}

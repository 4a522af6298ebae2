"""The rules of products of matrices, and of attention: heads pass through them, all else is summed over or kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edgewright.converters.axes import Axes, Axis
from torch.fx import Node

from .calls import Call, Result, no_rule, rule


@rule("matmul bmm")
def matrix_product(call: Call) -> Result:
    operands = call.inputs
    if any(len(axes) < 2 for axes in operands):
        return no_rule(call)
    for axes in operands:
        call.classes.refuse(axes[-2:], f"contracted or kept by {call.op}")
    a, b = operands[0], operands[-1]
    return [*call.classes.broadcast([a[:-2], b[:-2]]), a[-2], b[-1]]


@rule("scaled_dot_product_attention")
def attention(call: Call) -> Result:
    query, key, value = (call.axes(call.args[name]) for name in ("query", "key", "value"))
    for axes in (query, key, value):
        call.classes.refuse(axes[-2:], "attention")
    operands = [query, key, value]
    if call.args.get("enable_gqa"):
        operands[1:] = (_shared_by_several(call, each) for each in (key, value))
    mask = call.args.get("attn_mask")
    if isinstance(mask, Node):
        operands.append(call.axes(mask))
        call.classes.refuse(operands[-1][-2:], "attention mask")
    return [*call.classes.broadcast([axes[:-2] for axes in operands]), query[-2], value[-1]]


def _shared_by_several(call: Call, axes: Axes) -> Axes:
    """Keys or values of grouped queries: each of their heads serves a run of the query's heads."""
    n_heads, n_shared = (call.args[name].meta["val"].shape[-3] for name in ("query", "key"))
    heads = call.classes.merged(axes[-3])
    return [*axes[:-3], (call.classes.scale(heads, n_heads // n_shared),), *axes[-2:]]


@rule("einsum")
def einsum(call: Call) -> Result:
    """What is summed over stays whole. Where operands share axes that pass through, as attention's do its heads, an
    operand's own axes stay whole too: they could be sliced, but not together with the heads."""
    operands = [call.axes(node) for node in call.args["tensors"]]
    terms, result = _letters(call.args["equation"], [len(axes) for axes in operands])
    if any(len(set(term)) < len(term) for term in terms):  # a diagonal
        return no_rule(call)
    axis_of: dict[str, Axis] = {}
    for axes, term in zip(operands, terms, strict=True):
        for axis, letter in zip(axes, term, strict=True):
            known = axis_of.get(letter, ())
            if known and axis:
                call.classes.join(known, axis)
            axis_of[letter] = known or axis
    shared = [letter for letter in result if all(letter in term for term in terms)]
    for letter in axis_of.keys() - (shared or result):
        call.classes.refuse([axis_of[letter]], "contracted or kept by einsum")
    return [axis_of[letter] for letter in result]


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """The letters of every operand and of the result; axes under an ellipsis are numbered from its end."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    spelt = [term.partition("...") for term in left.split(",")]
    hidden = [rank - len(before + after) for (before, _, after), rank in zip(spelt, ranks, strict=True)]
    terms = [[*before, *_hidden(n), *after] for (before, _, after), n in zip(spelt, hidden, strict=True)]
    if not arrow:
        once = Counter(letter for before, _, after in spelt for letter in before + after)
        right = "..." + "".join(sorted(letter for letter, count in once.items() if count == 1))
    before, dots, after = right.partition("...")
    return terms, [*before, *_hidden(max(hidden) if dots else 0), *after]


def _hidden(n: int) -> list[str]:
    return [f".{position}" for position in range(n, 0, -1)]

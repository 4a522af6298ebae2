"""The rules of normalisations: what is normalised over stays whole; what is kept per channel follows the channels."""

from __future__ import annotations

from edgewright.converters.axes import Axes

from .calls import Call, innermost, rule


@rule("batch_norm instance_norm")
def of_channels(call: Call) -> Axes:
    kept = [name for name in ("weight", "bias", "running_mean", "running_var") if call.args[name] is not None]
    for name in kept:
        call.classes.join(call.x[1], call.axes(call.args[name])[0])
    if call.op == "instance_norm":
        call.classes.refuse(call.x[2:], "normalised over the axis (instance_norm)")
    if not kept:  # a module without tensors is resized by what it states
        call.sizes.of_axis(innermost(call.node), call.x[1])
    return call.x


@rule("group_norm")
def of_groups(call: Call) -> Axes:
    """A group is normalised by itself, and so is a unit; a single group is the whole axis."""
    x, groups = call.x, call.args["num_groups"]
    width = call.shape[1]
    units, inside = call.classes.reshape([x[1]], (groups, width // groups))
    call.classes.refuse([inside, *x[2:]], "normalised over the axis (group_norm)")
    for name in ("weight", "bias"):
        if call.args[name] is not None:
            call.classes.join(x[1], call.axes(call.args[name])[0])
    for axis in (units, x[1]):
        call.sizes.of_axis(innermost(call.node), axis)
    return x


@rule("layer_norm rms_norm")
def of_last_axes(call: Call) -> Axes:
    count = len(call.args["normalized_shape"])
    call.classes.refuse(call.x[-count:], f"normalised over the axis ({call.op})")
    return call.x

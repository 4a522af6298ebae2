"""The rules of operations on images: channels pass through them, or change places with rows and columns."""

from __future__ import annotations

import re

from edgewright.converters.axes import Axes

from .calls import Call, rule


@rule(
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d adaptive_max_pool2d upsample_linear1d upsample_bilinear2d upsample_bicubic2d "
    "upsample_trilinear3d upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d "
    "_upsample_nearest_exact2d _upsample_nearest_exact3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa"
)
def resize(call: Call) -> Axes:
    n_spatial = int(re.findall(r"(\d)d", call.op)[0])
    kept = len(call.x) - n_spatial
    call.classes.refuse(call.x[kept:], "spatial axis of a pooling")
    return call.x[:kept] + call.classes.fresh(call.shape[kept:], "spatial axis")


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Axes:
    """`(..., C r², H, W)` to `(..., C, H r, W r)`: r² consecutive channels become one."""
    *before, channels, height, width = call.x
    r = call.args["upscale_factor"]
    made, down, across = call.classes.reshape([channels], (call.shape[-3], r, r))
    call.classes.refuse([down, across], "moved into the image (pixel_shuffle)")
    return [*before, made, height + down, width + across]


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Axes:
    """`(..., C, H r, W r)` to `(..., C r², H, W)`: one channel becomes r² consecutive ones."""
    *before, channels, height, width = call.x
    r = call.args["downscale_factor"]
    rows, down = call.classes.reshape([height], (call.shape[-2], r))
    columns, across = call.classes.reshape([width], (call.shape[-1], r))
    call.classes.refuse([rows, down, columns, across], "moved out of the image (pixel_unshuffle)")
    return [*before, channels + down + across, rows, columns]

"""A ResNet for images of some 32 pixels a side: timm's, without both or one of the halvings before its first block.

He et al., "Deep Residual Learning for Image Recognition" (2016), section 4.2, take images of this size in that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

STEM_WIDTH = 64  # what timm's first block takes


def build_small_image_resnet(
    num_classes: int,
    in_chans: int = 3,
    layers: Sequence[int] = (2, 2, 2, 2),
    channels: Sequence[int] = (64, 128, 256, 512),
    stem_stride: int = 1,
    zero_init_last: bool = False,
) -> nn.Module:
    """`(B, in_chans, H, W)` -> `(B, num_classes)`.

    Args:
        layers: basic blocks of each of four stages; each but the first halves the side.
        channels: of each stage.
        stem_stride: of the convolution before them; 2 is four times faster, and less exact.
    """
    from timm.models import resnet

    block: Any = resnet.BasicBlock  # timm's annotation asks for an instance
    model: nn.Module = resnet.ResNet(
        block, tuple(layers), num_classes=num_classes, in_chans=in_chans, channels=tuple(channels),
        zero_init_last=zero_init_last,
    )  # fmt: skip
    model.conv1 = nn.Conv2d(in_chans, STEM_WIDTH, 3, stem_stride, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model

"""A ResNet for images of some 32 pixels a side: timm's, with other halvings before its first block, or fewer stages.

He et al., "Deep Residual Learning for Image Recognition" (2016), section 4.2, take images of this size in that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..errors import InputError

STEM_WIDTH = 64  # what timm's first block takes
_STAGES = 4  # of timm's


def build_small_image_resnet(
    num_classes: int,
    in_chans: int = 3,
    layers: Sequence[int] = (2, 2, 2, 2),
    channels: Sequence[int] = (64, 128, 256, 512),
    stem_stride: int = 1,
    stem_pool: bool = False,
    zero_init_last: bool = False,
) -> nn.Module:
    """`(B, in_chans, H, W)` -> `(B, num_classes)`.

    Args:
        layers: basic blocks of each of up to four stages; each stage but the first halves the side.
        channels: of each stage.
        stem_stride: of the convolution before them; 2 is four times faster, and less exact.
        stem_pool: whether the stem's outputs are halved by pooling: nearly as fast as a stride of 2, and every pixel is
            still seen.

    Raises:
        InputError: no stages, more than four, or another number of `channels`.
    """
    from timm.models import resnet

    if not 1 <= len(layers) == len(channels) <= _STAGES:
        raise InputError(
            f"backbone 'small-image-resnet' has one to {_STAGES} stages, with `layers` and `channels` for each, got "
            f"{list(layers)} and {list(channels)}"
        )
    left_out = _STAGES - len(layers)
    block: Any = resnet.BasicBlock  # timm's annotation asks for an instance
    model: Any = resnet.ResNet(
        block, (*layers, *[1] * left_out), num_classes=num_classes, in_chans=in_chans,
        channels=(*channels, *[channels[-1]] * left_out), zero_init_last=zero_init_last,
    )  # fmt: skip
    for number in range(len(layers), _STAGES):
        setattr(model, f"layer{number + 1}", nn.Identity())
    model.num_features = channels[-1]
    model.reset_classifier(num_classes)
    model.conv1 = nn.Conv2d(in_chans, STEM_WIDTH, 3, stem_stride, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.MaxPool2d(2) if stem_pool else nn.Identity()
    built: nn.Module = model
    return built

"""Small backbones of every family, and the supernets made from them. One thread, because test machines are busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import timm
import torch
from edgewright.supernet.supernet import Supernet, modularize
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

NARROW = (8, 16, 24, 32)


class HandWritten(nn.Module):
    """What people write: functional calls, a depthwise layer, squeeze-and-excite, a keyword call, a shared layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.squeeze, self.excite = nn.Conv2d(12, 6, 1), nn.Conv2d(6, 12, 1)
        self.slope = nn.PReLU(12)
        self.mix = nn.Conv2d(12, 10, 1)
        self.shared = nn.Linear(10, 10)
        self.hidden, self.head = nn.Linear(10, 14), nn.Linear(14, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.depthwise(torch.nn.functional.gelu(self.norm(self.stem(x)))))
        x = x * self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()
        x = self.mix(input=x).amax((2, 3))
        x = self.shared(torch.tanh(self.shared(x)))
        return self.head(torch.relu(self.hidden(x)))


def _tiny_vit() -> nn.Module:
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=3, num_classes=10)


@dataclass(frozen=True)
class Family:
    make: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]


FAMILIES = {
    "resnet18": Family(lambda: timm.create_model("resnet18", channels=NARROW, in_chans=1, num_classes=10), (1, 32, 32)),
    "resnet50": Family(lambda: timm.create_model("resnet50", channels=NARROW, num_classes=10), (3, 32, 32)),
    "mobilenetv3": Family(lambda: timm.create_model("mobilenetv3_small_050", num_classes=10), (3, 64, 64)),
    "tinynet": Family(lambda: timm.create_model("tinynet_e", num_classes=10), (3, 64, 64)),
    "vit": Family(_tiny_vit, (3, 32, 32)),
    "regnetx": Family(lambda: timm.create_model("regnetx_002", num_classes=10), (3, 64, 64)),
    "hand_written": Family(HandWritten, (3, 16, 16)),
}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@torch.no_grad()
def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Norms, biases and constants drawn anew: a new ResNet's last norms are zero and hide their branches."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point() and (tensor.dim() <= 1 or bool((tensor == tensor.flatten()[0]).all())):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module


@dataclass(frozen=True)
class Case:
    name: str
    supernet: Supernet
    x: Tensor  # (3, C, H, W)


MakeCase = Callable[..., Case]


@pytest.fixture(scope="session")
def make_case() -> MakeCase:
    """A new supernet of a family, in eval mode, weights randomised."""

    def make(name: str, policy: str = "single", check: bool = True) -> Case:
        family = FAMILIES[name]
        generator = torch.Generator().manual_seed(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = randomise(family.make(), seed=2)
        x = torch.randn(3, *family.input_shape, generator=generator)
        supernet = modularize(backbone, x, policy, check)  # type: ignore[arg-type]
        return Case(name, supernet.eval(), x)

    return make


@pytest.fixture(scope="session", params=[*FAMILIES, "resnet18-coupled", "mobilenetv3-coupled"])
def case(request: pytest.FixtureRequest, make_case: MakeCase) -> Case:
    """Shared by many tests, which must leave it as it is."""
    name, _, policy = request.param.partition("-")
    return make_case(name, policy or "single")


@pytest.fixture
def resnet(make_case: MakeCase) -> Case:
    """A ResNet of one's own."""
    return make_case("resnet18", check=False)

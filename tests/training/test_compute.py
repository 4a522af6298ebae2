"""Device, precision, layout and clipping, on every device that is here."""

import copy

import pytest
import torch
from edgewright.errors import InputError
from edgewright.training.compute import Compute, choose_device
from torch import nn

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here"))]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 36, 2))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("precision", "weights", "inside"),
    [
        ("float32", torch.float32, torch.float32),
        ("bfloat16", torch.float32, torch.bfloat16),
        ("float64", torch.float64, torch.float64),
    ],
)
def test_weights_batches_and_what_is_computed_have_the_precisions_types(device, precision, weights, inside):
    compute = Compute(torch.device(device), precision)
    module = compute.to_device(network())
    seen = []
    module[3].register_forward_hook(lambda _, args, output: seen.append((args[0].dtype, output.dtype, output.device)))
    images = torch.rand(4, 3, 8, 8).to(compute.device, compute.dtype)
    outputs = compute.forward(module, images)
    assert {each.dtype for each in module.parameters()} == {weights} == {compute.dtype}
    assert seen[0][1] == inside and seen[0][2].type == device
    assert outputs.dtype == torch.float32, "losses are computed in it"
    outputs.sum().backward()
    assert all(each.grad.dtype == weights and each.grad.isfinite().all() for each in module.parameters())


@pytest.mark.parametrize("device", DEVICES)
def test_images_and_convolutions_are_laid_out_channels_last(device):
    compute = Compute(torch.device(device))
    module = compute.to_device(network())
    seen = []
    module[0].register_forward_hook(lambda _, args, output: seen.append(args[0]))
    compute.forward(module, torch.rand(4, 3, 8, 8, device=device))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert compute.images(torch.rand(4, 3)).shape == (4, 3), "of another rank: as it is"


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_delivered_is_an_ordinary_float32_module_on_the_cpu(device):
    module = network()
    plain = copy.deepcopy(module).eval()
    compute = Compute(torch.device(device), "float64")
    delivered = compute.deliver(compute.to_device(module))
    assert delivered is module and not module.training
    assert module[0].weight.is_contiguous() and module[0].weight.device.type == "cpu"
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(delivered(x), plain(x))


def test_gradients_are_clipped_all_together():
    one, other = (nn.Parameter(torch.zeros(2)) for _ in range(2))
    one.grad, other.grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    Compute(max_gradient_norm=1.0).clip([one, other])
    assert one.grad.tolist() == pytest.approx([0.6, 0.0]) and other.grad.tolist() == pytest.approx([0.0, 0.8])


def test_the_device_is_cuda_where_there_is_one_and_it_is_not_refused(monkeypatch):
    assert choose_device("cpu").type == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    for there, expected in ((True, torch.device("cuda", 2)), (False, torch.device("cpu"))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto") == expected
    with pytest.raises(InputError, match='ask for device "cuda", but torch finds none here; set it to "auto" or "cpu"'):
        choose_device("cuda")

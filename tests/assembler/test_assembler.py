import numpy as np
import pytest
import torch
from edgewright.assembler.assembler import Assembler, AssemblerConfig, encode_limit
from edgewright.assembler.limits import open_modules, open_within
from edgewright.assembler.request import Request
from edgewright.assembler.semhash import discrete_gates, gate_loss, soft_gates, training_gates
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Site

SPACE = GateSpace((Site("a", 20), Site("b", 30), Site("c", 50)))
TASK = numvqa.SPACE.parse("only two even")


@pytest.fixture
def assembler():
    torch.manual_seed(0)
    return Assembler(numvqa.SPACE, SPACE, AssemblerConfig(limit_dim=8, selection_dim=16, n_gaters=3))


@pytest.mark.parametrize("limit", [0.03, 0.05, 0.07, 0.2, 0.5, 1.0])
def test_a_limit_always_holds_and_no_site_is_empty(assembler, limit):
    for task in numvqa.TASKS[::7]:
        (gates,) = assembler.assemble([Request(task, limit)])
        assert gates.bits.sum() <= round(limit * 100)
        assert min(gates.counts) >= 1


def test_all_limits_in_one_pass_equal_one_at_a_time(assembler):
    requests = [Request(TASK, limit) for limit in (0.05, 0.3, 0.9)]
    assert assembler.assemble(requests) == [assembler.assemble([request])[0] for request in requests]


def test_where_the_limit_closes_modules_the_least_wanted_go():
    space = GateSpace((Site("a", 4), Site("b", 4)))
    weights = torch.tensor([[4.0, 3.0, 2.0, -1.0, -9.0, -8.0, -7.0, -6.0]])
    bits = open_modules(weights, torch.tensor([3 / 8]), space)[0]
    # The two most wanted of a; b wants none and keeps its best.
    assert bits.nonzero().flatten().tolist() == [0, 1, 7]


def test_the_same_modules_open_whether_all_rows_are_sorted_or_those_over_their_limit():
    """On a GPU all are."""
    weights = torch.randn(200, 100, generator=torch.Generator().manual_seed(0)).round(decimals=1)  # with equal ones
    weights -= 1.5 * (torch.arange(200) % 2)[:, None]  # every second row has few open modules
    limits = torch.linspace(0.03, 1.0, 200)
    bits = open_modules(weights, limits, SPACE)
    for sort_all in (True, False):
        assert torch.equal(open_within(weights, limits, SPACE, sort_all), bits)
    wanted = (weights > 0).sum(1)
    assert (bits.sum(1) <= limits * 100 + 1e-3).all() and (bits.sum(1) < wanted).any() and (bits.sum(1) == wanted).any()


def test_an_unreachable_limit_names_the_smallest(assembler):
    with pytest.raises(InputError, match="smallest for this supernet of 3 sites and 100 modules is 3.00%"):
        assembler.assemble([Request(TASK, 0.02)])


@pytest.mark.parametrize("limit", [0.0, -1.0, 1.2, float("nan")])
def test_a_limit_outside_0_1_is_refused(limit):
    with pytest.raises(InputError, match="must lie in"):
        Request(TASK, limit)


def test_different_tasks_and_limits_give_different_weights(assembler):
    other = numvqa.SPACE.parse("has 3")
    weights = assembler.weights([Request(TASK, 0.5), Request(other, 0.5), Request(TASK, 0.1)])
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_the_limit_encoding_is_a_transformers_position_encoding():
    row = encode_limit(torch.tensor([0.5]), 4)[0]
    expected = [np.sin(50), np.cos(50), np.sin(50 / 100), np.cos(50 / 100)]
    assert torch.allclose(row, torch.tensor(expected, dtype=torch.float32), atol=1e-5)


def test_soft_and_discrete_gates_agree_on_which_side_of_zero_is_open():
    weights = torch.linspace(-6, 6, 241)
    assert torch.equal(soft_gates(weights) > 0.5, weights > 0)
    assert soft_gates(torch.tensor([-9.0, 0.0, 9.0])).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_a_discrete_gate_learns_through_the_soft_gates_gradient():
    weights = torch.tensor([-0.5, 0.5], requires_grad=True)
    discrete_gates(weights).sum().backward()
    by_hand = torch.autograd.grad(soft_gates(weights).sum(), weights)[0]
    assert torch.allclose(weights.grad, by_hand) and (by_hand > 0).all()


def test_a_coin_says_which_samples_see_discrete_gates():
    generator = torch.Generator().manual_seed(1)
    weights, coin = torch.randn(400, 9, generator=generator), torch.rand(400, 1, generator=generator) < 0.5
    gates = training_gates(weights, weights > 0, coin)
    assert torch.allclose(gates[coin[:, 0]], (weights[coin[:, 0]] > 0).float(), atol=1e-6)
    assert torch.allclose(gates[~coin[:, 0]], soft_gates(weights[~coin[:, 0]]), rtol=0, atol=1e-6)


def test_the_literal_relu_opens_above_a_half():
    torch.manual_seed(0)
    """The paper's text to the letter: no weight is negative, and 0.5 is the threshold."""
    space = GateSpace((Site("a", 8), Site("b", 16)))
    literal = Assembler(numvqa.SPACE, space, AssemblerConfig(literal_relu=True)).eval()
    requests = [Request(numvqa.SPACE.parse("has 3"), 1.0)]
    weights = literal.weights(requests)
    assert weights.min() == 0
    (gates,) = literal.assemble(requests)
    forced = {int(weights[0, where].argmax()) + where.start for where in space.slices}
    assert set(np.flatnonzero(gates.bits)) == set(torch.nonzero(weights[0] > 0.5).flatten().tolist()) | forced


def test_with_a_shared_norm_no_site_has_its_own():
    space = GateSpace((Site("a", 8), Site("b", 16)))
    names = list(Assembler(numvqa.SPACE, space, AssemblerConfig(shared_norm=True)).state_dict())
    assert not [name for name in names if ".norm." in name] and "selection.3.weight" in names


def test_the_gate_loss_is_one_sided():
    gates = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    assert gate_loss(gates, torch.tensor([0.3, 0.5])).item() == pytest.approx(0.2**2 / 2)

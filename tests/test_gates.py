import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.gates import Gates, GateSpace, Site

SPACE = GateSpace((Site("a", 5), Site("b", 12)))


def test_packing_is_lossless_and_checks_its_length():
    gates = SPACE.sample(0.4, np.random.default_rng(0))
    assert SPACE.unpack(gates.pack()) == gates and len(gates.pack()) == 3
    with pytest.raises(InputError, match="2 bytes of gates do not fit a gate space of 17 modules"):
        SPACE.unpack(b"\xff\xff")


def test_gates_are_never_empty_at_a_site():
    with pytest.raises(InputError, match="site 'b' has no open module; at least one of its 12 must stay"):
        Gates(SPACE, np.arange(17) < 5)
    for seed in range(50):
        assert min(SPACE.sample(0.01, np.random.default_rng(seed)).counts) >= 1


def test_gates_cannot_be_changed_by_anybody():
    bits = np.ones(17, bool)
    gates = Gates(SPACE, bits)
    bits[:] = False
    assert gates.ratio == 1.0
    with pytest.raises(ValueError, match="read-only"):
        gates.bits[0] = False


def test_counts_ratio_and_masks_agree():
    gates = SPACE.from_counts([2, 6])
    assert gates.counts == (2, 6) and gates.ratio == pytest.approx(8 / 17)
    assert SPACE.from_masks(gates.masks()) == gates
    with pytest.raises(InputError, match="must name exactly the sites"):
        SPACE.from_masks({"a": np.ones(5, bool)})


def test_digests_tell_gates_and_spaces_apart():
    assert SPACE.full().digest != SPACE.smallest().digest
    assert SPACE.digest != GateSpace((Site("a", 5), Site("c", 12))).digest
    assert SPACE.full() != GateSpace((Site("a", 5), Site("c", 12))).full()


@pytest.mark.parametrize("sites", [(), (Site("a", 2), Site("a", 3))])
def test_a_space_without_sites_or_with_a_name_twice_is_refused(sites):
    with pytest.raises(InputError):
        GateSpace(sites)


def test_the_same_generator_state_gives_the_same_gates():
    draw = [SPACE.sample(0.5, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]

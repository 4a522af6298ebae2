"""What is known of an architecture, whatever its space."""

from __future__ import annotations

from typing import Any

import pytest
from edgewright.architecture import EncodedArchitecture
from edgewright.errors import InputError
from edgewright.gates import GateSpace, Site

SPACE = GateSpace((Site("stem", 16), Site("body", 24)))


def test_gates_are_one_kind() -> None:
    gates = SPACE.from_counts([3, 20])
    known = EncodedArchitecture.of(gates)
    assert (known.kind, known.digest, known.encoding, known.features) == ("gates", gates.digest, gates.pack(), (3, 20))
    assert SPACE.decode(known.encoding) == gates and len(known.features) == len(SPACE.feature_names)
    assert EncodedArchitecture.of(known) == known


@pytest.mark.parametrize(
    "changes", [{"kind": ""}, {"digest": ""}, {"features": (1.0, float("nan"))}, {"features": (float("inf"),)}]
)
def test_what_is_none_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        EncodedArchitecture(**{"kind": "chain", "digest": "d", "encoding": b"", "features": (1.0,), **changes})

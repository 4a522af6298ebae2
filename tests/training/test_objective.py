"""The settings that batches are drawn with."""

import pytest
from edgewright.errors import InputError
from edgewright.training.objective import Sampling


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0"),
        ({"n_augmented_tasks": -5}, "`n_augmented_tasks` must be at least 0, got -5"),
        ({"min_limit": 1.5}, r"`min_limit` must lie in \[0, 1\], got 1.5"),
        ({"augmented_share": -0.1}, r"`augmented_share` must lie in \[0, 1\], got -0.1"),
    ],
)
def test_what_is_wrong_is_named(change, sentence):
    with pytest.raises(InputError, match=sentence):
        Sampling(**change)

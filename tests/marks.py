"""Cases that take long: `make test` leaves them out, `make test-all` runs them."""

from __future__ import annotations

from typing import Any

import pytest


def sweep(*values: Any, **options: Any) -> Any:
    """The values of one case of a parametrised test or fixture whose cases take long."""
    return pytest.param(*values, marks=pytest.mark.sweep, **options)

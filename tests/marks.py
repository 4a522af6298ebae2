"""Cases that take long: `make test` leaves them out, `make test-all` runs them."""

from __future__ import annotations

from typing import Any

import pytest


def sweep(value: Any, **options: Any) -> Any:
    """A value of a parametrised test or fixture whose cases take long."""
    return pytest.param(value, marks=pytest.mark.sweep, **options)

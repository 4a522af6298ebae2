"""Measurements from any source: a table of features and latencies, in the order of measurement if it is known.

Shapes: `n` rows, `F` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import InputError
from ...spaces.features import FloatArray

MIN_ROWS = 25
ROW_ORDER, NO_ORDER = "index", "none"


@dataclass(frozen=True)
class FeatureTable:
    """Features `(n, F)`, latencies `(n,)` > 0, and when each row was measured, `(n,)` in any unit, or None.

    Raises: `InputError` for shapes that do not fit, too few rows, and values that are not finite or not > 0.
    """

    features: FloatArray
    latencies: FloatArray
    order: FloatArray | None
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.latencies)
        if self.features.shape != (n, len(self.names)) or not self.names:
            raise InputError(
                f"features must have shape ({n}, {len(self.names)}), a row per latency and a column per name, "
                f"got {self.features.shape}"
            )
        if n < MIN_ROWS:
            raise InputError(f"a predictor is judged on at least {MIN_ROWS} measured rows, got {n}; measure more")
        for name, column in zip(self.names, self.features.T, strict=True):
            _check_numbers(name, column)
        _check_numbers("latency", self.latencies)
        if (self.latencies <= 0).any():
            row = int(np.argmax(self.latencies <= 0))
            raise InputError(f"latencies must be > 0, but row {row} has {self.latencies[row]:g}; leave failures out")
        if self.order is not None:
            if self.order.shape != (n,):
                raise InputError(f"order must have shape ({n},), one value per row, got {self.order.shape}")
            _check_numbers("order", self.order)

    @classmethod
    def of_arrays(
        cls,
        features: Sequence[Sequence[float]] | FloatArray,
        latencies: Sequence[float] | FloatArray,
        order: Sequence[float] | FloatArray | None = None,
        names: Sequence[str] | None = None,
    ) -> FeatureTable:
        """A table from arrays in memory; features without `names` are called x0, x1..."""
        matrix = np.asarray(features, float)
        if matrix.ndim != 2:
            raise InputError(f"features must have two axes, rows and columns, got shape {matrix.shape}")
        known = tuple(names) if names is not None else tuple(f"x{index}" for index in range(matrix.shape[1]))
        when = None if order is None else np.asarray(order, float)
        return cls(matrix, np.asarray(latencies, float), when, known)

    @classmethod
    def read_csv(cls, path: Path, features: Sequence[str], latency: str, order: str = ROW_ORDER) -> FeatureTable:
        """Columns of a CSV file. `order` is "index" (rows were measured as they stand), "none", or a column.

        Raises: `InputError` naming the file, and the column or row that is wrong.
        """
        try:
            frame = pd.read_csv(path)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}; check the path") from error
        except (ValueError, pd.errors.ParserError) as error:
            said = " ".join(str(error).split())  # pandas ends its sentences with a new line
            raise InputError(f"{path} is no CSV table with a header ({said}); mend it or export it again") from error
        columns = [*features, latency, *([] if order in (ROW_ORDER, NO_ORDER) else [order])]
        _check_columns(path, frame, columns, latency if latency in features else None)
        numbers = {name: _numbers(path, frame, name) for name in columns}
        when = {ROW_ORDER: np.arange(len(frame), dtype=float), NO_ORDER: None}.get(order, numbers.get(order))
        try:
            matrix = np.stack([numbers[name] for name in features], axis=1)  # (n, F)
            return cls(matrix, numbers[latency], when, tuple(features))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


def _check_columns(path: Path, frame: pd.DataFrame, wanted: Sequence[str], own_feature: str | None) -> None:
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}")
    if len(wanted) < 2:
        raise InputError("name at least one feature in `features`, such as width,depth")
    twice = next((name for name in wanted[:-1] if list(wanted).count(name) > 1), own_feature)
    if twice is not None:
        raise InputError(f"column {twice!r} is named twice; features, latency and order are different columns")


def _numbers(path: Path, frame: pd.DataFrame, name: str) -> FloatArray:
    values: FloatArray = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
    wrong = np.isnan(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"{path}: row {row} of column {name!r} is no number: {frame[name].iloc[row]!r}; leave it out")
    return values


def _check_numbers(name: str, values: FloatArray) -> None:
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values)))
        raise InputError(f"{name} must be finite, but row {row} has {values[row]}")

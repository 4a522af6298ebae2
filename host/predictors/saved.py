"""Fitted predictors as files of a workspace: fitted again only when what they learnt from has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..architecture import Architecture
from ..files import write_atomic
from ..profiling.columns import RecordColumns, Recorded
from ..profiling.verifications import VerificationRecord
from ..spaces.base import FeatureSpace
from .base import DEFAULT
from .fitting import CostPredictors, fit_predictors

FITTING = 2
"""Counts the ways to fit: a file of another one is fitted again."""


def load_or_fit(
    path: Path,
    records: Recorded,
    space: FeatureSpace[Architecture],
    verifications: Sequence[VerificationRecord] = (),
    predictor: str = DEFAULT,
) -> CostPredictors:
    """The predictors in `path` where they learnt from exactly these measurements; else new ones, written there.

    Raises what `fit_predictors` raises, and `StorageError` when `path` cannot be written.
    """
    columns = RecordColumns.of(records)
    digest = learnt_from(columns, space, verifications, predictor)
    saved = _load(path, digest, space)
    if saved is not None:
        return saved
    fitted = fit_predictors(columns, space, verifications=verifications, predictor=predictor)
    write_atomic(path, json.dumps({"learnt_from": digest, **fitted.to_json()}, allow_nan=False).encode())
    return fitted


def learnt_from(
    records: Recorded,
    space: FeatureSpace[Architecture],
    verifications: Sequence[VerificationRecord] = (),
    predictor: str = DEFAULT,
) -> str:
    """Digest of all that a fit depends on: the space, the predictor, each measurement and its protocol."""
    columns = RecordColumns.of(records)
    maps = [[each.name, each.names] for name in space.feature_sets for each in space.feature_maps(name)]
    parts = [
        FITTING, space.kind, space.digest, maps, predictor,
        [[origin.device, origin.protocol.to_json()] for origin in columns.origins],
        [[each.architecture.digest, each.started_at, each.latency_ms, each.memory_mib, each.protocol.to_json()]
         for each in verifications],
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for column in (
        columns.origin, columns.position, columns.kind, columns.started_at, columns.latency_ms, columns.memory_mib,
        columns.digests[columns.architecture],
    ):  # fmt: skip
        digest.update(f"{column.dtype} {len(column)}".encode())
        digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def _load(path: Path, digest: str, space: FeatureSpace[Architecture]) -> CostPredictors | None:
    """None for a file that is not there, not readable, or of other measurements: it is fitted again."""
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.pop("learnt_from") != digest:
            return None
        return CostPredictors.from_json(data, space)
    except (OSError, ValueError, KeyError):  # an `InputError` is a `ValueError`
        return None

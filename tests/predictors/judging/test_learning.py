"""When a campaign has measured enough."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.predictors.judging.learning import MORE, LearningCurve, learning_curve
from edgewright.spaces.gates import SubnetSpace


def curve(records: Any, space: SubnetSpace, seed: int = 0) -> LearningCurve:
    return learning_curve(records, space, np.random.default_rng(seed))


def test_error_falls_with_data_towards_the_noise(space: SubnetSpace, invented: Any) -> None:
    found = curve(invented.records(320, noise=0.05), space)
    assert [point.n_train for point in found.points] == [20, 40, 80, 160, 240]
    first, last = found.points[0], found.points[-1]
    assert first.mape > 1.15 * last.mape
    assert 0.9 * 0.04 < last.mape / 100 < 1.3 * 0.04, "a normal error of 5 % is 4 % on average"
    assert all(point.least <= point.mape <= point.most for point in found.points)


def test_it_says_when_to_stop(space: SubnetSpace, invented: Any) -> None:
    enough = curve(invented.records(400, noise=0.02), space)
    assert enough.gain < 0.1 and "400 are enough" in enough.sentence and f"{MORE} more subnets" in enough.sentence
    few = curve(invented.records(44, noise=0.02), space)
    assert few.gain > 3 * enough.gain
    assert LearningCurve(few.points, 0.64, 44).sentence == "40 more subnets would gain about 0.6 %: profile more"
    assert json.loads(json.dumps(few.to_json()))["sentence"] == few.sentence


def test_it_is_deterministic_from_its_generator(space: SubnetSpace, invented: Any) -> None:
    records = invented.records(80, noise=0.05)
    assert curve(records, space, 1) == curve(records, space, 1)
    assert curve(records, space, 1) != curve(records, space, 2)


def test_too_few_subnets(space: SubnetSpace, invented: Any) -> None:
    with pytest.raises(InputError, match="39 measured subnets are too few for a learning curve: at least 40"):
        curve(invented.records(39), space)

"""The linear predictor, beside what every predictor promises: weights that are never negative, and its own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.gates import Layer
from edgewright.predictors import linear
from edgewright.predictors.base import Quantity
from edgewright.predictors.folds import MOST
from edgewright.predictors.linear import LinearPredictor
from edgewright.spaces.gates import SubnetSpace
from sklearn.base import clone

Make = Callable[[], LinearPredictor]
Table = tuple[np.ndarray, np.ndarray]


@pytest.fixture(params=["latency", "memory"])
def quantity(request: pytest.FixtureRequest) -> Quantity:
    return request.param


@pytest.fixture(params=["paper", "products", "steps"])
def features(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(quantity: Quantity, features: str, space: SubnetSpace) -> Make:
    return lambda: LinearPredictor(space, quantity, features)


@pytest.fixture
def table(space: SubnetSpace, invented: Any) -> Table:
    rng = np.random.default_rng(0)
    counts = np.stack([rng.integers(1, site.width + 1, 80) for site in space.gates.sites], axis=1)
    return counts, invented.cost(counts) * (1 + 0.05 * rng.standard_normal(80))


def test_fit_returns_self_and_learnt_state_ends_in_an_underscore(make: Make, table: Table) -> None:
    predictor = make()
    before = set(vars(predictor))
    assert before == set(predictor.get_params())
    assert predictor.fit(*table) is predictor
    learnt = {name for name in set(vars(predictor)) - before if not name.startswith("_")}
    assert learnt and all(name.endswith("_") for name in learnt)
    assert predictor.n_features_in_ == table[0].shape[1] and predictor.n_records_ == 80
    assert len(predictor.feature_names_) == len(predictor.coef_)


def test_clone_is_unfitted_and_equal(make: Make, table: Table) -> None:
    copy = clone(make().fit(*table))
    assert not hasattr(copy, "coef_")
    assert copy.fit(*table).predict(table[0]) == pytest.approx(make().fit(*table).predict(table[0]))


def test_weights_are_never_negative_and_predictions_positive(make: Make, table: Table, space: SubnetSpace) -> None:
    """Even when the data say that opening modules makes it faster."""
    counts, costs = table
    predictor = make().fit(counts, costs.max() + 0.1 - costs)
    assert (predictor.coef_ >= 0).all() and predictor.intercept_ >= 0
    assert (predictor.predict(counts) > 0).all()


def test_opening_a_module_never_lowers_a_prediction(make: Make, table: Table, space: SubnetSpace) -> None:
    predictor = make().fit(*table)
    narrow = np.minimum(table[0], [site.width - 1 for site in space.gates.sites])
    for site in range(narrow.shape[1]):
        wider = narrow.copy()
        wider[:, site] += 1
        assert (predictor.predict(wider) >= predictor.predict(narrow)).all()


def test_scores_like_any_regressor(make: Make, table: Table) -> None:
    assert make().fit(*table).score(*table) > 0.8


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data.pop("coef"), "damaged .*fit it again"),
        (lambda data: data["coef"].append(1.0), "damaged .*weights for"),
        (lambda data: data["coef"].__setitem__(0, -1.0), "damaged .*weights must be finite and >= 0"),
        (lambda data: data.update(intercept=float("nan")), "damaged .*weights must be finite and >= 0"),
        (lambda data: data.update(errors=[]), "damaged .*errors must be finite numbers"),
        (lambda data: data.update(map="steps of 3"), "damaged .*no features 'steps of 3'"),
        (lambda data: data["feature_names"].reverse(), "damaged .*no features"),
        (lambda data: data["space"].update(digest="0" * 16), "fitted to the space .*fit anew"),
        (lambda data: data.update(schema=99), "version 99, this program reads version 3"),
        (lambda data: data.update(quantity="energy"), "predictor of 'energy', not of"),
        (lambda data: data.clear(), "not a saved predictor"),
    ],
)
def test_foreign_and_damaged_json_is_refused(
    make: Make,
    space: SubnetSpace,
    quantity: Quantity,
    table: Table,
    damage: Callable[[dict[str, Any]], Any],
    sentence: str,
) -> None:
    data = make().fit(*table).to_json()
    damage(data)
    with pytest.raises(InputError, match=sentence):
        LinearPredictor.from_json(data, space, quantity)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda counts, costs: (counts[:9], costs[:9]), "needs at least 10 measurements, got 9; measure more with"),
        (lambda counts, costs: (counts, costs[:-1]), "one value per architecture, got"),
        (lambda counts, costs: (counts, np.where(np.arange(80) == 3, 0.0, costs)), "finite and > 0 .*got 0.0"),
        (lambda counts, costs: (counts, np.where(np.arange(80) == 3, np.nan, costs)), "finite and > 0 .*got nan"),
        (lambda counts, costs: (counts[:, :-1], costs), r"shape \(n, 4\), one column per site"),
        (lambda counts, costs: (counts * 2, costs), "open modules at site '.'; it must be within 1 and"),
        (lambda counts, costs: (np.where(counts == counts.min(), 0, counts), costs), "has 0 open modules at site"),
    ],
)
def test_unusable_data_is_refused(make: Make, table: Table, change: Callable[..., Table], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make().fit(*change(*table))


def test_unknown_features_are_refused(quantity: Quantity, space: SubnetSpace, table: Table) -> None:
    with pytest.raises(InputError, match="one of paper, products, steps, got 'cubes'"):
        LinearPredictor(space, quantity, "cubes").fit(*table)


def test_layers_of_another_supernet_are_refused(quantity: Quantity, space: SubnetSpace, table: Table) -> None:
    with pytest.raises(InputError, match="layer 'x' names the site 'elsewhere'"):
        LinearPredictor(SubnetSpace(space.gates, (Layer("x", "a", "elsewhere", 1, 1, 1),)), quantity).fit(*table)


def test_the_tile_of_a_device_is_learnt(space: SubnetSpace, invented: Any) -> None:
    """A device that computes output channels eight at a time: its latency is a staircase, and the steps are found."""

    def staircase(counts: np.ndarray) -> np.ndarray:
        widths = np.array([site.width for site in space.gates.sites])
        tiles: np.ndarray = np.minimum(np.ceil(counts / 8) * 8, widths)
        return 0.2 + tiles / widths @ np.array([0.3, 0.2, 0.5, 0.4])

    rng = np.random.default_rng(0)
    counts = np.stack([rng.integers(1, site.width + 1, 200) for site in space.gates.sites], axis=1)
    costs = staircase(counts) * np.exp(0.01 * rng.standard_normal(200))
    steps = LinearPredictor(space, "latency", "steps").fit(counts[:100], costs[:100])
    products = LinearPredictor(space, "latency", "products").fit(counts[:100], costs[:100])
    error = {each.features: np.abs(each.predict(counts[100:]) / costs[100:] - 1).mean() for each in (steps, products)}
    assert steps.feature_map_.name == "steps of 8" and products.feature_map_.name == "products"
    assert error["steps"] < 0.015 < 0.03 < error["products"]
    assert steps.predict([[1, 9, 17, 33]])[0] == pytest.approx(steps.predict([[8, 16, 24, 40]])[0], rel=0.02)


def test_errors_count_relative_to_the_cost(space: SubnetSpace) -> None:
    """With a model that cannot be right, the small half is met as well as the large one."""
    counts = np.array([[1, 1, 1, width] for width in range(1, 65)])
    costs = 0.1 + (counts[:, 3] / 64) ** 3
    predicted = LinearPredictor(space, "latency", "paper").fit(counts, costs).predict(counts)
    relative = np.abs(predicted - costs) / costs
    ordinary = np.polyval(np.polyfit(counts[:, 3], costs, 1), counts[:, 3])
    assert relative.mean() < 0.8 * (np.abs(ordinary - costs) / costs).mean()


@pytest.fixture
def many(space: SubnetSpace, invented: Any) -> Table:
    """More than are needed for any choice, a tenth of them disturbed."""
    rng = np.random.default_rng(0)
    n = 2 * MOST
    counts = np.stack([rng.integers(1, site.width + 1, n) for site in space.gates.sites], axis=1)
    disturbed = np.where(rng.random(n) < 0.1, 1.5, 1.0)
    return counts, invented.cost(counts) * (1 + 0.05 * rng.standard_normal(n)) * disturbed


def test_of_many_rows_choices_look_at_a_few_and_weights_at_all(
    many: Table, space: SubnetSpace, invented: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last rows say what no other does, and are none of the few: a model that was verified teaches all the same."""
    counts, costs = many
    lengths: list[int] = []
    nnls = linear.nnls

    def counting(rows: np.ndarray, target: np.ndarray, **options: Any) -> Any:
        lengths.append(len(rows))
        return nnls(rows, target, **options)

    monkeypatch.setattr(linear, "nnls", counting)
    fitted = LinearPredictor(space, "latency").fit(counts, costs)
    assert max(lengths) == MOST and fitted.n_records_ == 2 * MOST and len(fitted.errors_) == MOST
    assert fitted.features_ == "products"
    assert fitted.predict(counts) == pytest.approx(invented.cost(counts), rel=0.02)
    without = np.setdiff1d(np.arange(len(costs)), linear.sample(len(costs)))[:1500]
    costs = costs.copy()
    costs[without] *= 1.05
    taught = LinearPredictor(space, "latency").fit(counts, costs)
    assert taught.errors_.tolist() == fitted.errors_.tolist(), "of the few, which are as before"
    assert taught.predict(counts).mean() > 1.002 * fitted.predict(counts).mean()


def test_many_rows_give_the_weights_of_the_same_rows_at_once(
    many: Table, space: SubnetSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds on all rows, block by block, end where rounds on one matrix of them would."""
    blocks = LinearPredictor(space, "latency", "products").fit(*many)
    monkeypatch.setattr(linear, "_BLOCK", 1000)
    small = LinearPredictor(space, "latency", "products").fit(*many)
    assert small.coef_ == pytest.approx(blocks.coef_, rel=1e-6, abs=1e-9)
    whole = linear._robust_weights(blocks.feature_map_(many[0]), many[1])
    assert [*blocks.coef_, blocks.intercept_] == pytest.approx(whole, rel=1e-2, abs=1e-3)

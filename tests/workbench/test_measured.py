"""What the store knows of a supernet on a device, without the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import InputError
from edgewright.report.gather import gather
from edgewright.workbench.measured import NotProfiled
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench


@pytest.fixture
def bench(profiled: Path) -> Any:
    with Workbench(profiled) as opened:
        yield opened


def test_a_device_need_not_be_in_the_registry_any_more(bench: Workbench) -> None:
    net = bench.supernet()
    assert len(bench.measured("local", net).records()) > 30
    unknown = bench.measured("sold", net)
    assert unknown.campaign() == (None, []) and unknown.verifications() == [] and unknown.watch_interval() == 20
    with pytest.raises(NotProfiled, match="'sold' has no records with this supernet in float32"):
        unknown.predictors()


def test_predictors_are_kept_until_there_is_more_to_learn_from(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgewright.predictors import saved

    measured = bench.measured("local")
    fitted = measured.predictors()
    path = measured.predictors_path
    assert json.loads(path.read_bytes())["latency"] == fitted.latency.to_json()
    monkeypatch.setattr(saved, "fit_predictors", lambda *_, **__: pytest.fail("fitted again"))
    again = measured.predictors()
    assert again.to_json() == fitted.to_json()
    full = [measured.space.gates.full()]
    assert measured.cost_model(0.9)(full)[0].upper.latency_ms == pytest.approx(
        fitted.latency.upper([full[0].features], 0.9)[0]
    )


def test_raw_samples_are_read_only_where_they_are_shown(bench: Workbench) -> None:
    said: list[str] = []
    connection: Any = bench.store._connection.connection.dbapi_connection
    connection.set_trace_callback(said.append)
    measured = bench.measured("local")
    assert measured.is_profiled and measured.watch_interval() > 0
    measured.predictors_path.unlink(missing_ok=True)
    measured.predictors(), measured.report(), measured.learning_curve()
    gather(measured)
    assert len(said) > 10 and not any("records.samples_ms" in statement for statement in said)
    measured.records()
    assert any("records.samples_ms" in statement for statement in said), "the trace sees what is read"


def test_an_unknown_predictor_is_one_sentence(bench: Workbench) -> None:
    with pytest.raises(InputError, match=r"unknown predictor 'linar'; did you mean 'linear'\?"):
        bench.measured("local", predictor="linar")


def test_predictors_are_judged_on_what_they_have_not_seen(workspace: Path, template: Any, tmp_path: Path) -> None:
    (tmp_path / "templates").symlink_to(workspace / "templates")
    with Workbench(tmp_path) as bench:
        measured = bench.pair("local")
        measured.profile(CampaignOptions(30))
        report = measured.report()
        assert {score.features for score in report.scores} == {"paper", "products", "steps"}
        assert report.noise_floor.n_repeated == 10
        assert measured.learning_curve() is None, "30 subnets are too few for a curve"


def test_no_point_of_the_front_is_beaten(bench: Workbench) -> None:
    points = bench.measured("local").pareto("has, 3")
    assert len(points) > 5
    for point in points:
        assert not any(
            other.score > point.score
            and other.latency_ms <= point.latency_ms and other.size_mib <= point.size_mib
            and (other.memory_mib or 0.0) <= (point.memory_mib or 0.0)
            for other in points
        )


def test_supernets_and_precisions_are_told_apart(bench: Workbench, domain: Any) -> None:
    plain, small = (bench.supernet(precision=each, domain=domain) for each in ("float32", "float16"))
    assert plain.source != small.source and plain.template is plain.profiled
    assert bench.measured("local", small).campaign() == (None, [])

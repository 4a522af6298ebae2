"""Stepping down after a miss, and what is left behind. The device's answers are changed on their way to the
host, because no real machine can be made slower by a known factor; everything else is real."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from edgewright.costs import Budget
from edgewright.customize.customizer import Customizer
from edgewright.customize.scenario import Scenario
from edgewright.customize.verification_record import verification_record
from edgewright.delivery.manifest import manifest_path
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import BudgetError, MeasurementError
from edgewright.files import sha256_of
from edgewright.workbench.workbench import Workbench

STORED = Path(__file__).parents[1] / "delivery" / "stored" / "version1.tflite"
TASK = numvqa.SPACE.parse("only two even")


@pytest.fixture(scope="module")
def customizer(trained, template, profiled, domain):
    with Workbench(profiled) as bench:
        predict = bench.measured("local").cost_model()
    return Customizer(trained, template, predict, domain, profiled / "artifacts")


class Distorted:
    """A real session whose measured latencies come back `slower` times as long, and whose outputs are shifted."""

    def __init__(self, session, slower=1.0, shift=0.0):
        self._session, self._slower, self._shift = session, slower, shift

    def __getattr__(self, name):
        return getattr(self._session, name)

    def measure(self, job, protocol):
        reply = self._session.measure(job, protocol)
        factor = self.factor(job, np.median(reply["samples_ms"]))
        return {**reply, "samples_ms": [factor * sample for sample in reply["samples_ms"]]}

    def factor(self, job, median_ms):
        return self._slower

    def run_each(self, job, inputs):
        return tuple(outputs + self._shift for outputs in self._session.run_each(job, inputs))


class FirstMisses(Distorted):
    """The first model takes `first_ms`, however busy this machine is; the others are as much slower as that one."""

    def __init__(self, session, first_ms):
        super().__init__(session)
        self._first_ms, self._first = first_ms, None

    def factor(self, job, median_ms):
        self._first = self._first or job.model_sha
        if job.model_sha == self._first:
            self._slower = self._first_ms / median_ms
        return self._slower


@pytest.fixture
def session(profiled):
    with open_session(Registry(profiled).get("local"), profiled) as opened:
        yield opened


def budget_for(customizer, ratio):
    """A latency budget that the predictor thinks a subnet of about this ratio just meets."""
    gates = customizer.trained.supernet.space.from_counts(
        [max(1, round(ratio * site.width)) for site in customizer.trained.supernet.space.sites]
    )
    return Budget(latency_ms=customizer.predict([gates])[0].upper.latency_ms)


def test_a_draft_needs_no_device_and_is_an_ordinary_file(customizer):
    budget = budget_for(customizer, 0.5)
    _, draft = customizer.draft(TASK, budget)
    assert draft.path.read_bytes() == draft.content and draft.content[4:8] == b"TFL3"
    assert budget.fits(draft.candidate.estimate.upper)


def test_a_draft_computes_on_one_thread(customizer):
    """Two would wait for each other on a busy machine: the tensors are tiny."""
    seen = []

    def predict(*arguments):
        seen.append(torch.get_num_threads())
        return customizer.predict(*arguments)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        replace(customizer, predict=predict).draft(TASK, budget_for(customizer, 0.5))
        assert set(seen) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_device_that_says_no_gets_a_smaller_model(customizer, session, tmp_path):
    budget = budget_for(customizer, 1.0)
    _, first = customizer.draft(TASK, budget)
    said = []
    scenario, slow = Scenario(TASK, "local", budget), FirstMisses(session, 1.5 * budget.latency_ms)
    artifact = customizer.customize(scenario, tmp_path / "m.tflite", slow, on_status=said.append)
    assert artifact.tries >= 2 and budget.fits(artifact.measured)
    assert artifact.size_bytes < len(first.content)
    assert len(said) == artifact.tries - 1 and "latency_ms by" in said[0]


def test_budgets_are_filled_by_what_the_task_wants(customizer):
    ratios = []
    for share in (0.25, 0.35, 0.45, 0.55):
        budget = budget_for(customizer, share)
        candidates, filled = customizer.draft(TASK, budget)
        _, plain = replace(customizer, fills=False).draft(TASK, budget)
        assert (plain.candidate.gates.bits <= filled.candidate.gates.bits).all(), "what was chosen stays open"
        wanted = np.any([item.gates.bits for item in candidates.items], axis=0)
        assert (filled.candidate.gates.bits <= wanted).all(), "modules of other tasks stay closed"
        assert budget.fits(filled.candidate.estimate.upper)
        ratios.append((plain.candidate.gates.ratio, filled.candidate.gates.ratio))
    assert sum(filled for _, filled in ratios) > 1.02 * sum(plain for plain, _ in ratios)


def test_every_verification_is_kept_before_the_next_step_and_teaches(customizer, session, tmp_path):
    budget = budget_for(customizer, 0.6)
    kept, refits = [], []

    def refit():
        refits.append(len(kept))
        return customizer.predict

    keeping = replace(customizer, keep=lambda *what: kept.append(what), refit=refit)
    scenario = Scenario(TASK, "local", budget)
    artifact = keeping.customize(scenario, tmp_path / "m.tflite", FirstMisses(session, 1.5 * budget.latency_ms))
    assert len(kept) == artifact.tries >= 2 and refits == list(range(1, artifact.tries))
    records = [verification_record(*what, "t" * 64, "facts") for what in kept]
    assert [record.fits for record in records] == [False] * (len(records) - 1) + [True]
    assert records[-1].latency_ms == artifact.measured.latency_ms
    assert all(later.features != earlier.features for earlier, later in pairwise(records))
    assert all(record.predicted_latency_ms <= record.upper_latency_ms for record in records)


def keys_of(manifest, *below):
    for name in below:
        manifest = manifest[name]
    return set(manifest)


def test_a_manifest_says_all_that_it_said_in_earlier_versions(customizer, session, tmp_path):
    scenario, out = Scenario(TASK, "local", Budget(latency_ms=1000.0)), tmp_path / "m.tflite"
    artifact = customizer.customize(scenario, out, session, push=True)
    manifest, earlier = (json.loads(manifest_path(path).read_text()) for path in (out, STORED))
    calibrated = {"calibration"}  # the stored one is of an int8 model
    assert keys_of(earlier) - calibrated <= keys_of(manifest)
    for below in (["measured"], ["measured", "cost"], ["device"], ["request"], ["gates"], ["protocol"], ["float32"]):
        assert keys_of(earlier, *below) <= keys_of(manifest, *below)
    assert keys_of(earlier, "hashes") - {"profiled_template_sha256"} == keys_of(manifest, "hashes")
    assert manifest["task"] == str(TASK) and manifest["tries"] == artifact.tries
    assert manifest["measured"]["accuracy"] == artifact.scores.on_device > 0.5
    assert manifest["measured"]["n_images"] == customizer.n_test_images
    assert manifest["hashes"]["model_sha256"] == sha256_of(out.read_bytes())
    assert Path(artifact.device_path).read_bytes() == out.read_bytes()


def test_a_device_on_which_nothing_fits_leaves_no_file(customizer, session, tmp_path):
    scenario = Scenario(TASK, "local", budget_for(customizer, 0.5))
    with pytest.raises(BudgetError, match="the fastest seen there took"):
        customizer.customize(scenario, tmp_path / "m.tflite", Distorted(session, slower=1000.0))
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_that_computes_something_else_is_refused(customizer, session, tmp_path):
    scenario = Scenario(TASK, "local", Budget(latency_ms=1000.0))
    with pytest.raises(MeasurementError, match="the device's answers differ from torch's by up to"):
        customizer.customize(scenario, tmp_path / "m.tflite", Distorted(session, shift=0.5))
    assert list(tmp_path.iterdir()) == []

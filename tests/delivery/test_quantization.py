"""The chosen model, quantised: what is delivered, what it is compared with, and when it is refused. Real sessions
and a real campaign of the int8 supernet; a device that answers worse is a real one whose answers are changed."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from edgewright.converters.precision import Precision
from edgewright.costs import Budget
from edgewright.customize.customizer import Customizer
from edgewright.customize.scenario import Scenario
from edgewright.customize.templates import load_or_build, template_path
from edgewright.delivery.quantization import Quantization, parse_precision
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry
from edgewright.domains.numvqa import domain as numvqa
from edgewright.errors import InputError, MeasurementError
from edgewright.tasks.domain import calibration_images
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

TASK = numvqa.SPACE.parse("only two even")
INT8, FLOAT16 = Precision.INT8, Precision.FLOAT16


@pytest.fixture(scope="module")
def place(trained, template, workspace, tmp_path_factory):
    """A workspace of its own: the campaigns of the shared one stay those of float32."""
    place = tmp_path_factory.mktemp("quantised")
    (place / "templates").mkdir()
    shutil.copy(template_path(trained, workspace / "templates"), place / "templates")
    return place


@pytest.fixture(scope="module")
def session(place):
    with open_session(Registry(place).get("local"), place) as opened:
        yield opened


@pytest.fixture(scope="module")
def customizer(trained, template, place, session, domain):
    """For int8, with predictors of a campaign of 30 slices of the int8 supernet."""
    quantised = load_or_build(trained, place / "templates", precision=INT8, domain=domain)
    with Workbench(place) as bench:
        pair = bench.pair("local", bench.supernet(trained, INT8, domain=domain))
        assert pair.profile(CampaignOptions(30)).summary.n_failed == 0
        predict = pair.cost_model()
        plain = bench.measured("local", bench.supernet(trained))
        assert plain.campaign() == (None, []), "campaigns of different precisions are told apart"
    quantization = Quantization(INT8, quantised, domain)
    return Customizer(trained, template, predict, domain, place / "artifacts", quantization=quantization)


@pytest.fixture(scope="module")
def for_float16(customizer, trained, place, domain):
    quantised = load_or_build(trained, place / "templates", precision=FLOAT16, domain=domain)
    return replace(customizer, quantization=replace(customizer.quantization, precision=FLOAT16, template=quantised))


class Answering:
    """A real session that gives `n_wrong` answers wrongly which were right, and shifts all outputs."""

    def __init__(self, session, answers, n_wrong=0, shift=0.0):
        self._session, self._answers, self._n_wrong, self._shift = session, answers, n_wrong, shift

    def __getattr__(self, name):
        return getattr(self._session, name)

    def run_each(self, job, inputs):
        (outputs,) = self._session.run_each(job, inputs)
        outputs = outputs[:, 0] + self._shift  # (B, K)
        wrong = np.flatnonzero(outputs.argmax(1) == self._answers)[: self._n_wrong]
        outputs[wrong] = outputs[wrong, ::-1]
        return (outputs[:, None],)


def answers_of(customizer):
    rng = np.random.default_rng(customizer.seed)
    return customizer.domain.examples(TASK, "test", customizer.n_test_images, rng).answers


def test_int8_is_delivered_and_verified_beside_float32(customizer, session, template, tmp_path):
    out = tmp_path / "m.tflite"
    artifact = customizer.customize(Scenario(TASK, "local", Budget(size_mib=0.3)), out, session)
    float32 = template.emit(artifact.candidate.gates.pack()).tobytes()
    assert out.read_bytes() == customizer.quantization.quantize(float32, TASK)
    assert artifact.size_bytes == out.stat().st_size < 0.4 * len(float32)
    scores = artifact.scores
    assert scores.agreement > 0.97 and abs(scores.on_device - scores.in_torch) <= 0.02
    assert scores.on_device > 0.9 and artifact.delivery.parity_max_abs > 1e-3

    manifest = json.loads(artifact.manifest_path.read_text())
    assert manifest["precision"] == "int8"
    assert manifest["float32"] == {"accuracy": scores.in_torch, "size_bytes": len(float32)}
    assert manifest["measured"]["accuracy"] == scores.on_device
    assert manifest["measured"]["torch_accuracy"] == scores.in_torch
    assert manifest["calibration"] == {"split": "train", "n_images": 300, "seed": 0}
    assert manifest["outputs"] == {"name": "numvqa", "answers": ["no", "yes"]}
    hashes = manifest["hashes"]
    assert hashes["model_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert hashes["template_sha256"] != hashes["profiled_template_sha256"]


def test_a_size_budget_is_met_by_the_quantised_file_and_used(customizer, session, tmp_path):
    artifact = customizer.customize(Scenario(TASK, "local", Budget(size_mib=0.3)), tmp_path / "m.tflite", session)
    assert artifact.tries == 1
    assert 0.95 * 0.3 < artifact.measured.size_mib <= 0.3
    assert artifact.float32_bytes > 2 * 0.3 * 2**20


def test_float16_answers_as_float32_with_half_the_bytes(for_float16, session, tmp_path):
    artifact = for_float16.customize(Scenario(TASK, "local", Budget(size_mib=0.5)), tmp_path / "m.tflite", session)
    assert artifact.size_bytes == pytest.approx(artifact.float32_bytes / 2, rel=0.1)
    assert artifact.scores.agreement >= 0.998 and artifact.delivery.parity_max_abs < 0.02
    assert "calibration" not in json.loads(artifact.manifest_path.read_text())


def test_predictions_are_those_of_the_quantised_supernet(customizer, session, tmp_path):
    artifact = customizer.customize(Scenario(TASK, "local", Budget(memory_mib=1.5)), tmp_path / "m.tflite", session)
    assert artifact.measured.memory_mib == pytest.approx(artifact.candidate.predicted.memory_mib, rel=0.1)


@pytest.mark.parametrize(("n_wrong", "refused"), [(5, False), (25, True)])
def test_answers_may_be_lost_up_to_two_points(customizer, session, tmp_path, n_wrong, refused):
    scenario, out = Scenario(TASK, "local", Budget(size_mib=0.3)), tmp_path / "m.tflite"
    worse = Answering(session, answers_of(customizer), n_wrong)
    if not refused:
        assert customizer.customize(scenario, out, worse).scores.agreement < 0.995
        return
    with pytest.raises(MeasurementError) as refusal:
        customizer.customize(scenario, out, worse)
    sentence = str(refusal.value)
    assert "the int8 model reaches accuracy" in sentence and "on 500 test images on the device" in sentence
    assert "points less than in float32" in sentence and "at most 2 are accepted: use `precision` float16" in sentence
    assert list(tmp_path.iterdir()) == []


def test_outputs_beyond_rounding_are_refused_in_float16_and_judged_by_answers_in_int8(
    customizer, for_float16, session, tmp_path
):
    scenario = Scenario(TASK, "local", Budget(size_mib=0.3))
    shifted = Answering(session, answers_of(customizer), shift=0.5)
    with pytest.raises(MeasurementError, match="the device's answers differ from torch's by up to"):
        for_float16.customize(scenario, tmp_path / "m.tflite", shifted)
    assert customizer.customize(scenario, tmp_path / "m.tflite", shifted).delivery.parity_max_abs >= 0.3


def test_calibration_images_are_of_all_tasks_and_the_same_every_time(domain):
    def drawn(tasks, n, seed):
        return calibration_images(domain, tasks, n, np.random.default_rng(seed))

    images = drawn(numvqa.TASKS, 300, 0)
    assert images.shape == (300, 1, 56, 56) and images.dtype == np.float32
    np.testing.assert_array_equal(images, drawn(numvqa.TASKS, 300, 0))
    assert len(drawn([TASK], 7, 1)) == 7
    assert len(drawn(numvqa.TASKS, 61, 1)) == 2 * len(numvqa.TASKS)
    of_training_digits = numvqa.examples(TASK, domain.digits.train, 7, np.random.default_rng(1)).images
    np.testing.assert_array_equal(drawn([TASK], 7, 1), of_training_digits)


def test_a_quantised_template_needs_images_to_be_calibrated_on(trained, place, tmp_path):
    shutil.copy(template_path(trained, place / "templates"), tmp_path)
    with pytest.raises(InputError, match="a template in int8 needs a domain's images to be calibrated on"):
        load_or_build(trained, tmp_path, precision=INT8)


def test_what_is_no_quantisation_is_refused(template, domain):
    with pytest.raises(InputError, match="a precision is one of float32, float16, int8; got 'int4'"):
        parse_precision("int4")
    with pytest.raises(InputError, match="leave the quantisation out"):
        Quantization(Precision.FLOAT32, template, domain)
    with pytest.raises(InputError, match="at least one image, got 0"):
        Quantization(INT8, template, domain, n_images=0)

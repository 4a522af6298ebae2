"""Any torch module to a verdict, on this machine's real agent. Slow or wrong devices are real ones whose answers are
changed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from edgewright.converters.parity import file_outputs
from edgewright.converters.precision import Precision
from edgewright.costs import Budget
from edgewright.delivery.deliver import deliver
from edgewright.delivery.prediction import DeliveredModel, predict_each
from edgewright.errors import BudgetError, InputError, MeasurementError
from edgewright.files import sha256_of
from edgewright.tasks.domain import ACCURACY
from torch import nn

from tests.delivery.delivered import ATTROD, SIDE, ColourDetector, write_picture
from tests.delivery.modules import EXAMPLE, Captioned, Lying, Scaled, Wide, seeded

FLOAT16, INT8 = Precision.FLOAT16, Precision.INT8


@pytest.fixture(scope="module")
def captioned():
    return seeded(Captioned)


def test_two_inputs_become_a_model_that_was_measured_compared_and_written(captioned, local_session, tmp_path):
    out = tmp_path / "m.tflite"
    delivery = deliver(captioned, EXAMPLE, local_session, out, purpose="captions", push=True)
    assert delivery.parity_max_abs < 1e-5 and delivery.verification.n_compared == 17
    assert 0 < delivery.latency_spread_ms[0] <= delivery.measured.latency_ms <= delivery.latency_spread_ms[1]
    assert delivery.measured.memory_mib > 0 and delivery.measured.size_mib == out.stat().st_size / 2**20
    assert delivery.sha256 == sha256_of(out.read_bytes())
    assert Path(delivery.device_path).read_bytes() == out.read_bytes()
    assert (delivery.purpose, delivery.device, delivery.budget) == ("captions", "local", None)

    image, ids = np.full((1, 1, 3, 8, 8), 0.25, np.float32), np.array([[[1, 2, 3, 4, 5]]], np.int32)
    scores, best = file_outputs(out.read_bytes(), (image, ids))
    with torch.no_grad():
        expected = captioned(torch.from_numpy(image[0]), torch.from_numpy(ids[0]).long())
    np.testing.assert_allclose(scores[0], expected[0].numpy(), atol=1e-5)
    assert best[0] == expected[1]


def test_the_manifest_tells_what_the_model_takes_and_what_it_showed(captioned, local_session, tmp_path):
    delivery = deliver(captioned, EXAMPLE, local_session, tmp_path / "m.tflite", budget=Budget(latency_ms=1e4))
    manifest = json.loads(delivery.manifest_path.read_text())
    assert manifest["format"] == "edgewright-artifact" and manifest["task"] == "Captioned"
    assert manifest["signature"] == {
        "inputs": [{"shape": [1, 3, 8, 8], "dtype": "float32"}, {"shape": [1, 5], "dtype": "int32"}],
        "outputs": [{"shape": [1, 5], "dtype": "float32"}, {"shape": [1], "dtype": "int32"}],
    }
    assert manifest["measured"]["cost"] == delivery.measured.to_json()
    assert manifest["measured"]["parity_max_abs"] == delivery.parity_max_abs
    assert manifest["hashes"] == {"model_sha256": delivery.sha256}
    assert manifest["budget"] == {"latency_ms": 1e4, "memory_mib": None, "size_mib": None}
    assert manifest["device"]["name"] == "local" and manifest["device"]["facts"]["runtime"] == "ai-edge-litert"
    assert "calibration" not in manifest and manifest["precision"] == "float32"
    assert json.loads(json.dumps(delivery.to_json(), allow_nan=False)) == {
        "model": str(delivery.path), "manifest": str(delivery.manifest_path), "device": "local", "device_path": None,
        "precision": "float32", "budget": manifest["budget"], "measured": delivery.measured.to_json(),
        "latency_spread_ms": list(delivery.latency_spread_ms), "parity_max_abs": delivery.parity_max_abs,
        "verified": True, "size_bytes": delivery.size_bytes, "sha256": delivery.sha256,
    }  # fmt: skip


def test_batches_single_numbers_and_named_outputs_keep_their_order(local_session, tmp_path):
    example = (torch.linspace(-2, 2, 12).reshape(4, 3), torch.tensor(1.5))
    delivery = deliver(seeded(Scaled), example, local_session, tmp_path / "m.tflite")
    manifest = json.loads(delivery.manifest_path.read_text())
    assert [each["dtype"] for each in manifest["signature"]["outputs"]] == ["float32", "float32", "bool"]
    assert [each["shape"] for each in manifest["signature"]["inputs"]] == [[4, 3], []]


def test_ids_alone_are_compared_on_ids_that_the_module_knows(local_session, tmp_path):
    words = nn.Sequential(nn.Embedding(4, 6), nn.Flatten(), nn.Linear(18, 2)).eval()
    lying = Lying(local_session)
    delivery = deliver(words, (torch.tensor([[0, 3, 1]]),), lying, tmp_path / "m.tflite")
    (compared,) = lying.ran[0]
    assert delivery.parity_max_abs < 1e-5
    assert compared.shape == (17, 1, 3) and compared.dtype == np.int32
    assert compared[0].tolist() == [[0, 3, 1]] and set(compared.ravel().tolist()) == {0, 1, 2, 3}


def test_equal_seeds_compare_equal_inputs_whatever_the_global_generators_say(captioned, local_session, tmp_path):
    lying = Lying(local_session)
    for seed, global_seed in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        deliver(captioned, EXAMPLE, lying, tmp_path / "m.tflite", seed=seed)
    first, second, other = ([values.tobytes() for values in inputs] for inputs in lying.ran)
    assert first == second != other


def test_a_device_that_computes_something_else_is_told_by_its_output_and_leaves_no_file(
    captioned, local_session, tmp_path
):
    def wrong_at(position, change):
        return Lying(local_session, change=lambda at, values: change(values) if at == position else values)

    liars = {
        "at output 0": wrong_at(0, lambda values: values + np.float32(0.1)),
        "at output 1": wrong_at(1, lambda values: (values + 1) % 5),
        "outputs do not match torch's": wrong_at(0, lambda values: values[..., :4]),
        "by up to inf at output 0": wrong_at(0, lambda values: values * np.float32("nan")),
    }
    for sentence, liar in liars.items():
        with pytest.raises(MeasurementError, match=sentence):
            deliver(captioned, EXAMPLE, liar, tmp_path / "m.tflite", push=True)
        assert liar.delivered == []
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_too_slow_for_its_budget_is_neither_written_nor_left_there(captioned, local_session, tmp_path):
    slow, budget = Lying(local_session, slower=1e4), Budget(latency_ms=5.0, size_mib=1.0)
    with pytest.raises(BudgetError) as refusal:
        deliver(captioned, EXAMPLE, slow, tmp_path / "m.tflite", purpose="captions", budget=budget, push=True)
    sentence = str(refusal.value)
    assert sentence.startswith("captions misses 5 ms and 1 MiB file on 'local' (latency_ms by ")
    assert " ms, " in sentence and " KiB" in sentence and "size_mib by" not in sentence
    assert list(tmp_path.iterdir()) == [] and slow.delivered == []


def test_float16_halves_the_file_and_stays_within_rounding(local_session, tmp_path):
    example = (torch.linspace(-1, 1, 64)[None],)
    wide = seeded(Wide)
    whole = deliver(wide, example, local_session, tmp_path / "whole.tflite")
    half = deliver(wide, example, local_session, tmp_path / "half.tflite", precision=FLOAT16)
    assert half.size_bytes < 0.6 * whole.size_bytes and half.float32_bytes == whole.size_bytes
    assert whole.parity_max_abs < half.parity_max_abs < 0.01


def test_int8_is_calibrated_on_the_example_or_on_what_is_given(local_session, tmp_path):
    example, wide = (torch.linspace(-1, 1, 64)[None],), seeded(Wide)
    sets = [(torch.randn(1, 64, generator=torch.Generator().manual_seed(seed)),) for seed in range(20)]
    said = []
    for calibration, n_samples in ((None, 1), (sets, 20)):
        lying = Lying(local_session)
        delivery = deliver(
            wide, example, lying, tmp_path / "m.tflite", precision=INT8, calibration=calibration, on_status=said.append
        )
        assert json.loads(delivery.manifest_path.read_text())["calibration"] == {"n_samples": n_samples}
        assert delivery.verification.n_compared == len(lying.ran[0][0]) == n_samples
        assert delivery.size_bytes < 0.4 * delivery.float32_bytes
        assert 0 < delivery.parity_max_abs < 0.05
    assert said[:2] == ["converting Wide (a few seconds)", "measuring Wide on 'local'"]


def test_an_int8_model_that_says_something_else_is_refused_though_nothing_judges_it(local_session, tmp_path):
    liar = Lying(local_session, change=lambda position, values: -values)
    with pytest.raises(MeasurementError, match=r"in int8, output 0 is off by 200% of its size .* `precision` float16"):
        deliver(seeded(Wide), (torch.linspace(-1, 1, 64)[None],), liar, tmp_path / "m.tflite", precision=INT8)


@dataclass(frozen=True)
class Brightness:
    """Which of 40 images is brighter than half."""

    images: np.ndarray
    score_name = ACCURACY

    @classmethod
    def of(cls, shape, n=40):
        levels = np.linspace(0, 1, n, dtype=np.float32)
        return cls(np.broadcast_to(levels[:, None, None, None], (n, *shape)).copy())

    @property
    def answers(self):
        return (self.images.mean((1, 2, 3)) > 0.5).astype(int)

    def score(self, outputs):
        return float((outputs.argmax(1) == self.answers).mean())

    def agreement(self, one, other):
        return float((one.argmax(1) == other.argmax(1)).mean())


class Judge(nn.Module):
    def forward(self, x):
        mean = x.mean((1, 2, 3))[:, None] - 0.5  # (B, 1)
        return torch.cat([-mean, mean], 1)  # (B, 2)


class Twice(nn.Module):
    def forward(self, x):
        return x, 2 * x


def test_a_score_is_taken_on_the_device_beside_torch(local_session, tmp_path):
    score = Brightness.of((1, 6, 6))
    delivery = deliver(Judge().eval(), torch.zeros(1, 1, 6, 6), local_session, tmp_path / "m.tflite", score=score)
    scores = delivery.verification.scores
    assert (scores.on_device, scores.in_torch, scores.agreement, scores.n_images) == (1.0, 1.0, 1.0, 40)
    assert json.loads(delivery.manifest_path.read_text())["measured"]["accuracy"] == 1.0
    with pytest.raises(InputError, match=r"images of shape \(1, 5, 5\), one at a time; the model takes float32 \(1, 1"):
        deliver(
            Judge().eval(), torch.zeros(1, 1, 6, 6), local_session, tmp_path / "m.tflite",
            score=Brightness.of((1, 5, 5)),
        )  # fmt: skip
    both = nn.Sequential(nn.Flatten(), Twice()).eval()
    with pytest.raises(InputError, match="a score is of one output, and the model has 2"):
        deliver(both, torch.zeros(1, 1, 6, 6), local_session, tmp_path / "m.tflite", score=score)


def test_a_model_whose_outputs_are_described_can_predict_and_another_says_so(local_session, tmp_path):
    example = torch.zeros(1, 3, SIDE, SIDE)
    described, plain = tmp_path / "described.tflite", tmp_path / "plain.tflite"
    deliver(ColourDetector().eval(), example, local_session, described, outputs=ATTROD)
    image = write_picture(tmp_path / "a.png", 64, 64, ((8, 8, 16, 16), "red"))
    (found,) = predict_each(DeliveredModel.read(described), [image], local_session)
    assert [(each.category, each.box) for each in found.boxes] == [("red thing", (8, 8, 16, 16))]
    deliver(ColourDetector().eval(), example, local_session, plain)
    with pytest.raises(InputError, match="was delivered as it is, and not how its outputs are read"):
        DeliveredModel.read(plain)

"""The `[training]` table."""

import pytest
import torch
from edgewright.errors import InputError
from edgewright.tables import read_table
from edgewright.training.compute import Compute
from edgewright.training.settings import TrainingSettings


def test_a_table_becomes_settings():
    found = read_table(TrainingSettings, {"batch_size": 8, "precision": "float32", "averaging": 0.99}, "[training]")
    assert (found.batch_size, found.precision, found.averaging) == (8, "float32", 0.99)
    assert found.seed == TrainingSettings().seed


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"evaluate_every": 0}, "`evaluate_every` must be at least 1, got 0"),
        ({"patience": -1}, "`patience` must be at least 0, got -1"),
        ({"batch_size": 1}, "batch norm needs a `batch_size` of 2 or more, got 1"),
        ({"warmup_share": 1.5}, r"`warmup_share` must lie in \[0, 1\], got 1.5"),
        ({"averaging": 1}, r"`averaging` must lie in \[0, 1\), got 1"),
        ({"batch_workers": -1}, "`batch_workers` must be at least 0, or \"auto\", got -1"),
        ({"batch_workers": "all"}, "batch_workers is 'all': input should be a valid integer or input should be 'auto'"),
        ({"max_gradient_norm": 0}, "`max_gradient_norm` must be above 0, got 0"),
        ({"device": "tpu"}, "device is 'tpu': input should be 'auto', 'cpu' or 'cuda'"),
        ({"batchsize": 4}, "has no field batchsize; did you mean batch_size"),
    ],
)
def test_what_is_wrong_is_named(table, sentence):
    with pytest.raises(InputError, match=sentence):
        read_table(TrainingSettings, table, "[training]")


def test_they_say_how_a_process_computes():
    settings = TrainingSettings(precision="float64", max_gradient_norm=2.0)
    assert settings.compute(torch.device("cpu")) == Compute(torch.device("cpu"), "float64", 2.0)


@pytest.mark.parametrize(
    ("batch_workers", "device", "threads"),
    [("auto", "cpu", 0), ("auto", "cuda", 2), (3, "cpu", 3), (0, "cuda", 0)],
)
def test_batches_are_drawn_ahead_for_a_gpu_unless_it_is_said_otherwise(batch_workers, device, threads):
    with TrainingSettings(batch_workers=batch_workers).ahead(torch.device(device)) as ahead:
        assert (ahead.n_threads, ahead.pin) == (threads, device == "cuda")

"""The baselines' training: until it stops improving, and with the best weights it saw."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.objective import NumVqaObjective
from edgewright.domains.numvqa.settings import NumVqaSettings
from edgewright.errors import InputError
from edgewright.supernet.backbones import build_backbone
from edgewright.training import fit as fitting
from edgewright.training.evaluation import Quality
from edgewright.training.fit import Fit, UntilFlat, fit_all, fit_task
from edgewright.training.objective import Sampling
from edgewright.training.scoring import model_score
from edgewright.training.settings import TrainingSettings

from tests.marks import sweep
from tests.training.small import Killed, kill_at

TASK = numvqa.SPACE.parse("has 0")
SMALL = {"in_chans": 1, "channels": [8, 8, 16, 16], "zero_init_last": False}
SETTINGS = TrainingSettings(device="cpu", precision="float32", checkpoint_every_s=0.0)


def fit(folder=None, settings=SETTINGS, on_progress=lambda at: None, **until):
    return Fit(Sampling(batch_size=32), settings, UntilFlat(**until), folder, on_progress)


@pytest.fixture(scope="module")
def objective(domain):
    return NumVqaObjective(domain)


def backbone(num_classes=2):
    torch.manual_seed(0)
    return build_backbone("resnet18", {**SMALL, "num_classes": num_classes})


def test_one_task_is_learnt(domain):
    """A few seconds are not enough to be good at it, but enough to be better than chance."""
    plain = NumVqaObjective(domain, NumVqaSettings(augmentation=False))
    how = fit(evaluate_every=40, patience=3, drops=0, max_steps=160, n_images=200)
    fitted = fit_task(backbone(), TASK, plain, how)
    assert fitted.accuracy > 0.62 and fitted.steps <= 160 and fitted.train_s > 0
    unseen = domain.examples(TASK, "test", 400, np.random.default_rng(0))
    assert model_score(fitted.model, unseen) > 0.58
    assert not fitted.model.training


class Rated:
    """In place of looking at validation images: losses and scores that are known."""

    def __init__(self, *qualities):
        self.qualities, self.states, self.seen = [Quality(score, loss) for loss, score in qualities], [], []

    def __call__(self, model, batch, loss):
        self.seen.append((batch, loss))
        self.states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return self.qualities[len(self.states) - 1]


def test_it_ends_when_no_rate_helps_and_keeps_the_best(objective, monkeypatch):
    """The best is that of the least loss: by the score alone it would be the third."""
    rated = Rated((0.5, 0.5), (0.2, 0.8), (0.3, 1.0), (0.4, 0.6), (0.1, 0.9), (0.1, 0.9), (0.2, 0.8))
    monkeypatch.setattr(fitting, "quality", rated)
    how = fit(evaluate_every=1, patience=2, drops=1, max_steps=50, n_images=10)
    fitted = fit_task(backbone(), TASK, objective, how)
    assert fitted.accuracy == pytest.approx(0.9)
    assert (fitted.steps, fitted.flat) == (7, True), "equal is no improvement"
    for name, tensor in fitted.model.state_dict().items():
        assert torch.equal(tensor, rated.states[4][name]), name
    held, loss = rated.seen[0]
    assert all(batch is held and judge == loss for batch, judge in rated.seen), "always by the same images"
    assert len(held.images) == 10 and loss == objective.task_loss


def test_quality_is_that_of_the_model_in_evaluation_mode(objective):
    model = backbone().train()
    held = objective.validation(Sampling(), 700, TASK)
    found = fitting.quality(model, held, objective.task_loss)
    with torch.inference_mode():
        logits = model.eval()(held.images)
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, held.answers)), rel=1e-5)
    assert found.score == pytest.approx(float((logits.argmax(1) == held.answers).float().mean()), abs=0.005)


def test_all_tasks_at_once_are_learnt_from_digit_counts(objective, monkeypatch):
    rated = Rated((0.5, 0.3), (0.4, 0.4))
    monkeypatch.setattr(fitting, "quality", rated)
    how = fit(evaluate_every=1, max_steps=2, n_images=30)
    assert fit_all(backbone(50), objective, how).accuracy == 0.4
    held, loss = rated.seen[0]
    assert loss == objective.pretrain_loss
    assert torch.equal(held.images, objective.validation(how.sampling, 30).images)


def test_a_run_that_is_cut_says_that_it_was_not_flat(objective):
    assert not fit_all(backbone(50), objective, fit(evaluate_every=2, patience=5, max_steps=2, n_images=20)).flat


def test_a_bound_that_leaves_no_evaluation_is_refused():
    with pytest.raises(InputError, match="`max_steps` must be at least `evaluate_every`, .* got 5 and 6"):
        UntilFlat(max_steps=5, evaluate_every=6)
    with pytest.raises(InputError, match="`patience` must be at least 1, got 0"):
        UntilFlat(patience=0)


# The best at the first evaluation, then one in vain before each drop of the rate and before the end: at least 8 steps.
UNTIL = {"evaluate_every": 2, "patience": 1, "drops": 2, "max_steps": 30, "n_images": 30}


@pytest.fixture(scope="module")
def whole(objective):
    return fit_task(backbone(), TASK, objective, fit(**UNTIL))


@pytest.mark.parametrize("step", [sweep(1), 2, 5, sweep(7)])
def test_a_killed_fit_resumes_to_the_very_same_weights(objective, tmp_path, whole, step):
    assert whole.steps >= 8, "or the kill would come after the end"
    with pytest.raises(Killed):
        fit_task(backbone(), TASK, objective, fit(tmp_path, on_progress=kill_at("fit", step), **UNTIL))
    steps = []
    fitted = fit_task(backbone(), TASK, objective, fit(tmp_path, on_progress=lambda at: steps.append(at.step), **UNTIL))
    assert steps[0] == step + 1, "it does not begin again"
    assert (fitted.steps, fitted.accuracy, fitted.flat) == (whole.steps, whole.accuracy, whole.flat)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, fitted.model.state_dict()[name]), name


def test_an_unfinished_fit_is_not_mixed_with_another(objective, tmp_path):
    with pytest.raises(Killed):
        fit_task(backbone(), TASK, objective, fit(tmp_path, on_progress=kill_at("fit", 1), **UNTIL))
    other = numvqa.SPACE.parse("has 1")
    for task, how in ((other, fit(tmp_path, **UNTIL)), (TASK, fit(tmp_path, replace(SETTINGS, seed=1), **UNTIL))):
        with pytest.raises(InputError, match="checkpoint.pt belongs to a training with other settings; remove it to"):
            fit_task(backbone(), task, objective, how)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_precision_is_that_of_the_settings(objective, precision):
    """Whatever it is, the model that comes back is an ordinary float32 one."""
    model, seen = backbone(), set()
    model.layer1.register_forward_hook(lambda module, _, output: seen.add(output.dtype) if module.training else None)
    settings = replace(SETTINGS, precision=precision)
    fitted = fit_task(model, TASK, objective, fit(settings=settings, evaluate_every=1, max_steps=1, n_images=20))
    assert seen == {getattr(torch, precision)}
    assert {each.dtype for each in fitted.model.parameters()} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_on_cuda_a_model_is_fitted_and_comes_back(objective, precision, tmp_path):
    """Killed and resumed there too; the same as on the CPU, as far as the precision goes."""
    until = {"evaluate_every": 2, "max_steps": 6, "n_images": 20}
    settings = replace(SETTINGS, device="cuda", precision=precision)
    with pytest.raises(Killed):
        fit_task(backbone(), TASK, objective, fit(tmp_path, settings, kill_at("fit", 3), **until))
    model, devices = backbone(), set()
    model.layer1.register_forward_hook(lambda *_: devices.add(next(model.parameters()).device.type))
    fitted = fit_task(model, TASK, objective, fit(tmp_path, settings, **until))
    assert devices == {"cuda"} and fitted.steps == 6
    here = fit_task(backbone(), TASK, objective, fit(settings=replace(settings, device="cpu"), **until))
    for name, tensor in fitted.model.state_dict().items():
        assert tensor.device.type == "cpu" and tensor.isfinite().all()
        if precision == "float64":
            assert torch.allclose(tensor, here.model.state_dict()[name], atol=1e-5), name


def test_averaged_weights_are_fitted_where_they_are_wanted(objective):
    until = {"evaluate_every": 2, "max_steps": 6, "n_images": 20}
    plain = fit_task(backbone(), TASK, objective, fit(**until))
    averaged = fit_task(backbone(), TASK, objective, fit(settings=replace(SETTINGS, averaging=0.9), **until))
    start = backbone().state_dict()["conv1.weight"]
    far, near = ((each.model.state_dict()["conv1.weight"] - start).norm() for each in (plain, averaged))
    assert 0 < near < far

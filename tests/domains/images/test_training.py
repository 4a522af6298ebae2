"""Joint training on labelled images: some samples see all gates open, so that the whole backbone stays good."""

from dataclasses import replace

import pytest
import torch
from edgewright.assembler.joint.losses import JointLoss, JointNoise
from edgewright.assembler.joint.recipe import DomainTable, JointRecipe
from edgewright.assembler.joint.stages import JointStages, assembler_of, supernet_of
from edgewright.assembler.joint.train import train
from edgewright.domains.images.objective import LabelObjective
from edgewright.supernet.backbones import Backbone
from edgewright.training.settings import TrainingSettings

from tests.training.small import Killed

CHANNELS = {"channels": [8, 8, 8, 8], "stem_width": 8, "in_chans": 3}
RECIPE = JointRecipe(
    name="tiny",
    backbone=Backbone("resnet10t", CHANNELS, (3, 32, 32)),
    domain=DomainTable.of({"name": "images"}),
    training=TrainingSettings(
        batch_size=8, device="cpu", precision="float32", checkpoint_every_s=0.0, evaluate_every=100
    ),
    pretrain_steps=2,
    joint_steps=3,
    tune_steps=2,
    calibrate_steps=2,
    n_augmented_tasks=20,
    open_share=0.5,
)


@pytest.fixture
def plan(domain):
    return JointStages(RECIPE.with_outputs(domain.n_outputs), LabelObjective(domain))


def test_open_samples_are_added_and_learn_what_pre_training_teaches(plan):
    modules = plan.modules()
    seen, losses = [], []
    supernet_of(modules).register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    batch = plan.source.draw("joint", 0).to(torch.device("cpu"), torch.float32)
    whole = plan.source.draw("pretrain", 2, slice(0, 4)).to(torch.device("cpu"), torch.float32)
    noise = JointNoise(torch.ones(8, 1, dtype=torch.bool))
    loss = JointLoss(supernet_of(modules), assembler_of(modules), plan.objective, plan.compute, keep_limits=True)
    for more in ((), (whole,)):
        losses.append(loss.eval()(batch, noise, 0.0, *more).total.item())
    images, gates = seen[1]
    assert torch.equal(images[8:], whole.images) and (gates[8:] == 1).all()
    assert torch.equal(gates[:8], seen[0][1])
    outputs = supernet_of(modules)(whole.images)
    expected = 0.5 * plan.objective.pretrain_loss(outputs, whole).loss
    assert losses[1] - losses[0] == pytest.approx(expected.item(), rel=1e-3)


def test_they_are_in_every_later_stage_and_images_come_in_turn(plan, monkeypatch):
    asked = []
    draw = type(plan.source).draw
    monkeypatch.setattr(
        type(plan.source), "draw", lambda self, *about: asked.append(about[:2]) or draw(self, *about)
    )
    modules = plan.modules()
    for stage in plan.stages():
        stage.prepare(modules)
        (update,) = stage.updates(modules)
        for step in range(stage.steps):
            update.loss(step)
    assert [step for stage, step in asked if stage == "pretrain"] == list(range(2 + 3 + 2 + 2))


def test_a_killed_run_resumes_to_the_very_same_weights(domain, tmp_path):
    def kill(at):
        if (at.stage, at.step) == ("joint", 2):
            raise Killed

    whole = train(RECIPE, tmp_path / "whole", domain)
    with pytest.raises(Killed):
        train(RECIPE, tmp_path / "cut", domain, on_progress=kill)
    cut = train(RECIPE, tmp_path / "cut", domain, resume=True)
    for name, tensor in whole.supernet.backbone.state_dict().items():
        assert torch.equal(tensor, cut.supernet.backbone.state_dict()[name]), name


def test_without_them_nothing_is_drawn(domain):
    plan = JointStages(replace(RECIPE, open_share=0.0).with_outputs(domain.n_outputs), LabelObjective(domain))
    assert plan._draw_both("joint", 0)[1] is None

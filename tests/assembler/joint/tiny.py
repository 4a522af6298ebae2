"""A very small recipe; what it learns does not matter."""

from dataclasses import replace

from edgewright.assembler.joint.recipe import DomainTable, JointRecipe
from edgewright.supernet.backbones import Backbone
from edgewright.training.settings import TrainingSettings

TINY = JointRecipe(
    name="tiny",
    backbone=Backbone(
        "resnet18", {"in_chans": 1, "num_classes": 2, "channels": [4, 4, 8, 8], "zero_init_last": False}
    ),
    domain=DomainTable.of({"name": "numvqa"}),
    training=TrainingSettings(
        batch_size=8, device="cpu", precision="float32", checkpoint_every_s=0.0, evaluate_every=100
    ),
    pretrain_steps=3,
    joint_steps=4,
    tune_steps=2,
    calibrate_steps=2,
    n_augmented_tasks=20,
)


def tiny(**training):
    """With other training settings."""
    return replace(TINY, training=replace(TINY.training, **training))

"""A step of joint training: gates as they are deployed, if the recipe asks for that."""

from dataclasses import replace

import torch
from edgewright.assembler.assembler import Assembler
from edgewright.assembler.joint.losses import JointLoss, JointNoise
from edgewright.assembler.joint.stages import JointStages
from edgewright.domains.numvqa import domain as numvqa
from edgewright.domains.numvqa.objective import NumVqaObjective

from tests.assembler.joint.tiny import TINY


def test_gates_that_keep_their_limit_are_what_is_trained(domain):
    """At a limit of 40 % the discrete half of the samples sees no more than is deployed."""
    plan = JointStages(TINY, NumVqaObjective(domain))
    supernet = plan.new_supernet()
    assembler = Assembler(numvqa.SPACE, supernet.space)
    batch = replace(plan.source.draw("joint", 0).to(torch.device("cpu"), torch.float32), limits=torch.full((8,), 0.4))
    noise = JointNoise(torch.ones(8, 1, dtype=torch.bool))
    seen = []
    supernet.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    for kept in (True, False):
        JointLoss(supernet, assembler, plan.objective, plan.compute, kept)(batch, noise, 1.0)
    assert seen[0].mean(1).max() <= 0.4 < seen[1].mean(1).max(), "as assembled, about half of the modules are open"

"""The evaluation on a user's labelled images; supernet and baselines are hardly trained."""

import pytest
from edgewright.assembler.joint.recipe import DomainTable, JointRecipe
from edgewright.assembler.joint.train import train
from edgewright.domains.images.kind import IMAGES
from edgewright.domains.protocol import DataSources
from edgewright.evaluation.nn_factory.evaluate import evaluate
from edgewright.evaluation.nn_factory.options import METHODS, Options, default_tasks
from edgewright.evaluation.nn_factory.scenarios import scenario_table
from edgewright.evaluation.nn_factory.tables import frame
from edgewright.supernet.backbones import Backbone
from edgewright.training.fit import UntilFlat
from edgewright.training.settings import TrainingSettings

from tests.data.small_folder import write_table

pytestmark = [pytest.mark.sweep, pytest.mark.timeout(600)]
BACKBONE = Backbone("resnet10t", {"stem_width": 8, "in_chans": 3, "channels": [16, 16, 32, 32]}, (3, 32, 32))
TASKS = ("disc | square", "red")


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return IMAGES.open(IMAGES.settings({}), BACKBONE, DataSources(write_table(folder / "shapes", n=60), None, folder))


@pytest.fixture(scope="module")
def folder(domain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    training = TrainingSettings(batch_size=8, device="cpu", precision="float32")
    recipe = JointRecipe(
        "tiny", BACKBONE, DomainTable.of({"name": "images"}), training, pretrain_steps=2, joint_steps=2,
        calibrate_steps=1, n_augmented_tasks=20,
    )  # fmt: skip
    train(recipe, folder / "supernet", domain)
    short = UntilFlat(evaluate_every=1, patience=9, max_steps=2, n_images=20)
    options = Options(
        {"tiny": folder / "supernet"}, TASKS, (0.7,), n_images=20, subnets=30, until=short, prune_tries=2, workers=2
    )
    evaluate(folder / "out", domain, options, (), lambda *_: None)
    return folder / "out"


def test_every_method_has_a_row_for_both_kinds_of_tasks(folder):
    rows = frame(scenario_table(folder))
    assert {(row.task, row.method) for row in rows.itertuples()} == {(t, m) for t in TASKS for m in METHODS}
    assert rows["accuracy"].dropna().between(0, 1).all() and rows["latency_ms"].notna().sum() >= 6


def test_the_page_names_the_tasks(folder):
    page = (folder / "index.html").read_text()
    assert all(task in page for task in TASKS) and (folder / "README.md").exists()


def test_tasks_of_a_user_who_names_none_cover_few_and_many_images(domain):
    chosen = default_tasks(domain)
    counts = [domain.count(domain.space.parse(task)) for task in chosen]
    assert len(chosen) == 8 and counts == sorted(counts) and counts[0] < counts[-1]

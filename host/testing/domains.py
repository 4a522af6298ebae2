"""What every task domain promises, as tests:

    from edgewright.testing.domains import DomainContract
    from my_package import PARCELS

    class TestParcels(DomainContract):
        kind = PARCELS
        backbone = Backbone("resnet10t", {"in_chans": 3}, (3, 32, 32))

Override the fixture `sources` if the data are in a folder, `opened` to open fewer of them than usual (both are made
once a class, since opening may take a while), and `perfect` to test that right outputs score 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..domains.protocol import DataSources, DomainKind, RunModel
from ..errors import InputError
from ..supernet.backbones import Backbone, build_backbone
from ..tasks import Task
from ..tasks.domain import Examples, Split, TaskDomain, trained_tasks
from ..training.objective import Batch, Objective, Sampling
from ..training.rng import JOINT, PRETRAIN

N_EXAMPLES = 12
SAMPLING = Sampling(seed=3, batch_size=8, n_augmented_tasks=20)


class DomainContract:
    """Tests of one kind of tasks.

    `table` is a recipe's `[domain]` table without the name, `backbone` a small one that can do the tasks; its
    `num_classes` are filled in.
    """

    kind: DomainKind
    table: Mapping[str, Any] = {}
    backbone: Backbone

    @pytest.fixture(scope="class")
    def sources(self, tmp_path_factory: pytest.TempPathFactory) -> DataSources:
        return DataSources(None, None, tmp_path_factory.mktemp("sources"))

    @pytest.fixture(scope="class")
    def opened(self, sources: DataSources) -> TaskDomain:
        return self.kind.open(self.kind.settings(self.table), self.backbone, sources)

    @pytest.fixture
    def objective(self, opened: TaskDomain) -> Objective:
        return self.kind.objective(opened, self.kind.settings(self.table))

    def model(self, num_classes: int) -> nn.Module:
        torch.manual_seed(0)
        arguments = {**self.backbone.arguments, "num_classes": num_classes}
        return build_backbone(self.backbone.name, arguments).eval()

    def run(self, num_classes: int) -> RunModel:
        model = self.model(num_classes)

        @torch.inference_mode()
        def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
            outputs: Tensor = model(torch.from_numpy(images))
            return outputs.numpy()

        return run

    def perfect(self, examples: Any) -> NDArray[np.float32] | None:
        """The outputs `(B, ...)` of a model that makes no mistake on `examples`; None if they are not known."""
        return None

    def some_task(self, domain: TaskDomain) -> Task:
        return next(task for task in trained_tasks(domain) if domain.covers(task, "test"))

    def _examples(self, domain: TaskDomain, split: Split) -> Examples:
        return domain.examples(self.some_task(domain), split, N_EXAMPLES, np.random.default_rng(0))

    def test_settings_are_read_and_unknown_ones_named(self) -> None:
        settings = self.kind.settings(self.table)
        told = {each.name: getattr(settings, each.name) for each in fields(settings)}
        assert self.kind.settings(json.loads(json.dumps(told))) == settings
        with pytest.raises(InputError, match="no_such_setting"):
            self.kind.settings({**self.table, "no_such_setting": 1})

    def test_it_goes_by_its_name(self, opened: TaskDomain) -> None:
        assert opened.name == self.kind.name
        assert self.kind.about.title and self.kind.about.tests.format(n=1) and self.kind.about.pretraining
        assert self.kind.about.images.format(data=opened.data)

    def test_tasks_are_the_spaces_and_can_be_typed(self, opened: TaskDomain) -> None:
        assert opened.tasks == self.kind.tasks(opened.space) and len(set(opened.tasks)) == len(opened.tasks)
        for task in opened.tasks:
            assert opened.space.parse(str(task)) == task
        assert set(opened.held_out) <= set(opened.tasks) and trained_tasks(opened)

    def test_tasks_have_encodings_of_their_own(self, opened: TaskDomain) -> None:
        encodings = [opened.space.encode(task.attributes) for task in opened.tasks]  # (T,) each
        assert {each.shape for each in encodings} == {(len(opened.space.attributes),)}
        assert len({each.tobytes() for each in encodings}) == len(opened.tasks)
        with pytest.raises(InputError, match="no-such-attribute"):
            opened.space.parse("no-such-attribute")

    def test_a_trained_supernets_space_opens_the_same_tasks(self, opened: TaskDomain, sources: DataSources) -> None:
        again = self.kind.open(self.kind.settings(self.table), self.backbone, sources, opened.space)
        assert again.tasks == opened.tasks and again.space == opened.space

    def test_examples_fit_the_backbone_and_know_their_score(self, opened: TaskDomain, objective: Objective) -> None:
        task = self.some_task(opened)
        examples = opened.examples(task, "test", N_EXAMPLES, np.random.default_rng(0))
        assert 0 < len(examples.images) <= N_EXAMPLES and examples.images.shape[1:] == self.backbone.image_shape
        assert examples.images.dtype == np.float32 and 0 <= examples.images.min() and examples.images.max() <= 1
        outputs = self.run(objective.n_outputs)(examples.images)
        assert 0 <= examples.score(outputs) <= 1 and examples.agreement(outputs, outputs) == 1
        assert examples.score_name == opened.score_name

    def test_right_outputs_score_one(self, opened: TaskDomain) -> None:
        examples = self._examples(opened, "test")
        outputs = self.perfect(examples)
        if outputs is None:
            pytest.skip("`perfect` does not say which outputs are right")
        assert len(outputs) == len(examples.images)
        assert examples.score(outputs) == pytest.approx(1.0)

    def test_tasks_without_objects_are_not_covered(self, opened: TaskDomain) -> None:
        for task in opened.tasks:
            count = opened.count(task)
            assert count is None or count >= 0
            assert opened.covers(task, "train") == (count is None or count > 0), f"{task}: {count} objects"

    def test_a_task_that_a_split_does_not_cover_has_no_examples(self, opened: TaskDomain) -> None:
        for split in get_args(Split):
            for task in [each for each in opened.tasks if not opened.covers(each, split)][:3]:
                with pytest.raises(InputError):
                    opened.examples(task, split, N_EXAMPLES, np.random.default_rng(0))

    def test_the_same_generator_gives_the_same_examples(self, opened: TaskDomain) -> None:
        task = self.some_task(opened)
        first, again, other = (
            opened.examples(task, "test", N_EXAMPLES, np.random.default_rng(seed)).images for seed in (1, 1, 2)
        )
        assert np.array_equal(first, again)
        assert first.shape != other.shape or not np.array_equal(first, other)

    def test_no_two_splits_share_an_image(self, opened: TaskDomain) -> None:
        seen: dict[bytes, str] = {}
        for split in get_args(Split):
            task = next(each for each in opened.tasks if opened.covers(each, split))
            for image in opened.examples(task, split, N_EXAMPLES, np.random.default_rng(0)).images:
                assert seen.setdefault(image.tobytes(), split) == split

    def test_what_it_describes_is_read_again(self, opened: TaskDomain, objective: Objective, tmp_path: Path) -> None:
        task = self.some_task(opened)
        described = json.loads(json.dumps(opened.describe(task)))
        assert described["name"] == self.kind.name
        reader = self.kind.reader(described)
        path = _written(opened.examples(task, "test", 1, np.random.default_rng(0)).images[0], tmp_path / "image.png")
        (told,) = reader.predict([path], self._run_of(opened, task, objective), 0.01)
        assert told.image == path and told.sentence and json.dumps(told.to_json())
        if reader.draws:
            told.draw(tmp_path / "drawn.png")
            with Image.open(tmp_path / "drawn.png") as drawn:
                assert drawn.size[0] > 0

    def _run_of(self, domain: TaskDomain, task: Task, objective: Objective) -> RunModel:
        """A model for the task: it gives those outputs of a supernet's that are the task's."""
        run, outputs = self.run(objective.n_outputs), domain.outputs(task)
        return run if outputs is None else lambda images: run(images)[:, outputs.rows]

    def test_a_tasks_outputs_are_the_supernets_and_score_alike(self, opened: TaskDomain, objective: Objective) -> None:
        task = self.some_task(opened)
        outputs, examples = opened.outputs(task), self._examples(opened, "test")
        if outputs is None:
            return
        assert set(outputs.rows) <= set(range(objective.n_outputs))
        whole = self.run(objective.n_outputs)(examples.images)  # (B, R)
        assert examples.score(whole) == examples.score(whole[:, outputs.rows])

    def test_a_description_that_lacks_something_is_no_reader(self) -> None:
        with pytest.raises((KeyError, TypeError, ValueError)):
            self.kind.reader({"name": self.kind.name})

    @pytest.mark.parametrize("stage", [PRETRAIN, JOINT])
    def test_a_batch_is_a_function_of_seed_stage_and_step(self, objective: Objective, stage: str) -> None:
        first = _batch(objective, stage, 5)
        assert _equal(first, _batch(objective, stage, 5))
        for other in (
            _batch(objective, stage, 6),
            _batch(objective, "a stage of another method", 5),
            _batch(objective, stage, 5, sampling=replace(SAMPLING, seed=4)),
        ):
            assert not _equal(first, other)

    def test_a_part_of_a_batch_is_that_part(self, objective: Objective) -> None:
        whole, part = (_batch(objective, JOINT, 0, part) for part in (slice(None), slice(2, 6)))
        for each in fields(part):  # type: ignore[arg-type]
            assert torch.equal(getattr(part, each.name), getattr(whole, each.name)[2:6]), each.name

    def test_batches_fit_backbone_and_tasks(self, objective: Objective, opened: TaskDomain) -> None:
        batch = _batch(objective, JOINT, 0)
        assert batch.images.shape == (8, *self.backbone.image_shape) and batch.limits.shape == (8,)
        assert batch.tasks.shape == (8, len(opened.space.attributes))
        assert SAMPLING.min_limit <= batch.limits.min() and batch.limits.max() <= 1

    def test_losses_teach(self, objective: Objective) -> None:
        batch = _batch(objective, JOINT, 0)
        for n_outputs, loss in (
            (objective.n_outputs, objective.task_loss),
            (objective.n_pretrain_outputs, objective.pretrain_loss),
        ):
            model = self.model(n_outputs).train()
            result = loss(model(batch.images), batch)
            assert result.loss.ndim == 0 and torch.isfinite(result.loss) and 0 <= float(result.score) <= 1
            result.loss.backward()  # type: ignore[no-untyped-call]
            assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())

    def test_validation_is_the_same_each_time(self, objective: Objective) -> None:
        assert _equal(objective.validation(SAMPLING, 6), objective.validation(SAMPLING, 6))
        one = objective.validation(SAMPLING, 6, objective.watched[0])
        assert len(one.images) == 6


def _batch(
    objective: Objective, stage: str, step: int, part: slice = slice(None), sampling: Sampling = SAMPLING
) -> Batch:
    return objective.source(sampling).draw(stage, step, part).to(torch.device("cpu"), torch.float32)


def _equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))  # type: ignore[arg-type]


def _written(image: NDArray[np.float32], path: Path) -> Path:
    """An image `(C, H, W)` in [0, 1] as a PNG file."""
    pixels = (255 * image).round().astype(np.uint8)  # (C, H, W)
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)
    return path

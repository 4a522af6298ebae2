"""The built-in task domains keep the contract of task domains."""

import numpy as np
import pytest
from edgewright.domains.detection import opening
from edgewright.domains.detection.kind import ATTROD
from edgewright.domains.images.kind import IMAGES
from edgewright.domains.numvqa.kind import NUMVQA
from edgewright.domains.protocol import DataSources
from edgewright.supernet.backbones import Backbone
from edgewright.testing.domains import DomainContract

from tests.data.small_folder import write_table


class TestNumVqa(DomainContract):
    kind = NUMVQA
    table = {"even_counts_share": 0.25}
    backbone = Backbone("resnet10t", {"in_chans": 1, "stem_width": 8, "channels": [8, 8, 8, 8]}, (1, 56, 56))

    def perfect(self, examples):
        return np.eye(2, dtype=np.float32)[examples.answers]  # (B, 2)


class TestAttributedDetection(DomainContract):
    kind = ATTROD
    table = {"mirror": True}
    backbone = Backbone(
        "detector", {"features": "resnet10t", "strides": [8, 16], "width": 16, "depth": 1}, (3, 64, 64)
    )  # fmt: skip

    def perfect(self, examples):
        """Every object is said by the anchor point next to its middle."""
        grid = examples.grid
        centres, strides = grid.centres.numpy(), grid.stride_of.numpy()  # (L, 2), (L,)
        outputs = np.full((len(examples.images), len(centres), 8), -9.0, np.float32)  # (B, L, 4 + K)
        for row, truth in enumerate(examples.truths):
            free = np.ones(len(centres), bool)
            for box, category in zip(truth.boxes[~truth.ignored], truth.categories[~truth.ignored], strict=True):
                middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
                point = np.where(free, np.abs(centres - middle).sum(1), np.inf).argmin()
                free[point] = False
                outputs[row, point, :4] = [*(middle - centres[point]) / strides[point], *np.log(size / strides[point])]
                outputs[row, point, 4 + category] = 9.0
        return outputs

    @pytest.fixture(scope="class", autouse=True)
    def few_images(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opening, "DIGIT_SETS", {"train": 60, "validation": 40, "test": 40})
            yield


class TestLabelledImages(DomainContract):
    kind = IMAGES
    table = {"erase": 0.25}
    backbone = Backbone("resnet10t", {"in_chans": 3, "stem_width": 8, "channels": [8, 8, 8, 8]}, (3, 32, 32))

    def perfect(self, examples):
        return np.eye(len(examples.rows), dtype=np.float32)[examples.answers]  # (B, K)

    @pytest.fixture(scope="class")
    def sources(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("images")
        return DataSources(write_table(folder / "shapes", n=90), None, folder)

"""The contract of task domains, kept by those that come along."""

import pytest
from edgewright.domains.detection import opening
from edgewright.domains.detection.kind import ATTROD
from edgewright.domains.numvqa.kind import NUMVQA
from edgewright.domains.protocol import DataSources
from edgewright.supernet.backbones import Backbone
from edgewright.testing.domains import DomainContract


class TestNumVqa(DomainContract):
    kind = NUMVQA
    table = {"even_counts_share": 0.25}
    backbone = Backbone("resnet10t", {"in_chans": 1, "stem_width": 8, "channels": [8, 8, 8, 8]}, (1, 56, 56))


class TestAttributedDetection(DomainContract):
    kind = ATTROD
    table = {"mirror": True}
    backbone = Backbone(
        "detector", {"features": "resnet10t", "strides": [8, 16], "width": 16, "depth": 1}, (3, 64, 64)
    )  # fmt: skip

    @pytest.fixture(scope="class")
    def made_once(self, tmp_path_factory):
        return tmp_path_factory.mktemp("detection")

    @pytest.fixture
    def sources(self, made_once):
        return DataSources(None, None, made_once)

    @pytest.fixture(autouse=True)
    def few_images(self, monkeypatch):
        monkeypatch.setattr(opening, "DIGIT_SETS", {"train": 60, "validation": 40, "test": 40})

"""The guests, held to the contracts that Edgewright ships. Run where `edgewright-guest` is installed."""

import numpy as np
import pytest
from edgewright.devices.address import Address
from edgewright.supernet.backbones import Backbone
from edgewright.testing.domains import DomainContract
from edgewright.testing.predictors import PredictorContract
from edgewright.testing.transports import TransportContract
from edgewright_guest.neighbours import NeighbourPredictor
from edgewright_guest.shed import SHED
from edgewright_guest.stripes import STRIPES


class TestStripes(DomainContract):
    kind = STRIPES
    table = {"noise": 0.1}
    backbone = Backbone("resnet10t", {"in_chans": 1, "stem_width": 8, "channels": [8, 8, 8, 8]}, (1, 16, 16))

    def perfect(self, examples):
        return np.eye(2, dtype=np.float32)[examples.answers]  # (B, 2)


class TestNeighbours(PredictorContract):
    kind = NeighbourPredictor


class TestShed(TransportContract):
    starts_here = True

    @pytest.fixture
    def open_transport(self, tmp_path):
        return lambda: SHED.connect(Address("shed", path=str(tmp_path)), "shed", tmp_path)

"""Shapes in three colours, labelled by a table: two groups of which an image has one label each, and a yes-or-no."""

import pytest
from edgewright.domains.images.kind import IMAGES
from edgewright.domains.protocol import DataSources
from edgewright.supernet.backbones import Backbone

from tests.data.small_folder import write_table

BACKBONE = Backbone("resnet10t", {"in_chans": 3, "stem_width": 8, "channels": [8, 8, 8, 8]}, (3, 32, 32))


@pytest.fixture(scope="session")
def table_folder(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("images") / "shapes", n=30)


@pytest.fixture(scope="session")
def image_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def domain(table_folder, image_cache):
    return IMAGES.open(IMAGES.settings({}), BACKBONE, DataSources(table_folder, None, image_cache))

"""NumVQA's entry in the registry."""

import pytest
from edgewright.domains.numvqa.kind import NUMVQA
from edgewright.domains.numvqa.settings import NumVqaSettings
from edgewright.domains.protocol import DataSources
from edgewright.errors import InputError
from edgewright.supernet.backbones import Backbone


def test_it_needs_no_folder_and_takes_none(tmp_path):
    assert NUMVQA.open(NumVqaSettings(), Backbone("resnet18"), DataSources(None, None, tmp_path)).name == "numvqa"
    with pytest.raises(InputError, match="takes no `data` folder"):
        NUMVQA.open(NumVqaSettings(), Backbone("resnet18"), DataSources(tmp_path, None, tmp_path))

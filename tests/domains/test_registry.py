"""Task domains by name, and what their kinds make of a recipe's `[domain]` table."""

import pytest
from edgewright.domains.detection.settings import DetectionSettings
from edgewright.domains.numvqa.settings import NumVqaSettings
from edgewright.domains.registry import DOMAINS
from edgewright.errors import InputError


@pytest.mark.parametrize("name", ["numvqa", "attrod"])
def test_a_kind_has_the_name_it_is_found_by(name):
    assert DOMAINS.get(name).name == name


@pytest.mark.parametrize(
    ("name", "table", "settings"),
    [
        ("numvqa", {}, NumVqaSettings()),
        ("numvqa", {"even_counts_share": 1, "augmentation": False}, NumVqaSettings(1.0, False)),
        ("attrod", {"categories": ["car"], "mirror": True}, DetectionSettings(("car",), True, True)),
    ],
)
def test_a_table_becomes_the_domains_own_settings(name, table, settings):
    assert DOMAINS.get(name).settings(table) == settings


@pytest.mark.parametrize(
    ("name", "table", "sentence"),
    [
        ("numvqa", {"mirror": True}, "domain 'numvqa' has no field mirror; there are: even_counts_share, augmentation"),
        ("attrod", {"mirrored": True}, "domain 'attrod' has no field mirrored; did you mean mirror?"),
        ("attrod", {"categories": "car"}, "domain 'attrod': categories is 'car': input should be a valid array"),
        ("numvqa", {"even_counts_share": 2}, r"`even_counts_share` must lie in \[0, 1\], got 2"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(name, table, sentence):
    with pytest.raises(InputError, match=sentence):
        DOMAINS.get(name).settings(table)

"""Which supernet a user means."""

from pathlib import Path

import pytest
from edgewright.assembler.archive import TrainedSupernet
from edgewright.shipped import DEFAULT, find_supernet, shipped_supernet, shipped_supernets


def test_the_default_comes_first():
    assert next(iter(shipped_supernets().items())) == (DEFAULT, shipped_supernet())


def test_those_of_a_domain_are_named_after_it():
    assert {"numvqa-resnet", "numvqa-vit", "numvqa-mobilenet"} == set(shipped_supernets("numvqa"))
    assert next(iter(shipped_supernets("numvqa"))) == DEFAULT
    for domain in ("numvqa", "attrod"):
        names = shipped_supernets(domain)
        assert all(TrainedSupernet.load(folder).domain_name == domain for folder in names.values())
    assert not shipped_supernets("luck")


def test_a_name_is_a_shipped_supernet_and_a_path_is_a_folder(tmp_path, monkeypatch):
    assert find_supernet(None) == find_supernet(Path(DEFAULT)) == shipped_supernet()
    assert find_supernet(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).mkdir()
    assert find_supernet(Path(DEFAULT)) == Path(DEFAULT), "a folder that is there is what is meant"


@pytest.mark.parametrize(("domain", "most_mib"), [("numvqa", 25), ("attrod", 5)])
def test_together_they_stay_small(domain, most_mib):
    files = [file for folder in shipped_supernets(domain).values() for file in folder.iterdir()]
    assert sum(file.stat().st_size for file in files) < most_mib * 2**20

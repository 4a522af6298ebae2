"""Finding the supernet that a user names."""

from pathlib import Path

import pytest
from edgewright.assembler.archive import TrainedSupernet, domain_of
from edgewright.shipped import DEFAULT, find_supernet, shipped_supernet, shipped_supernets


def test_the_default_comes_first():
    assert next(iter(shipped_supernets().items())) == (DEFAULT, shipped_supernet())


@pytest.mark.parametrize("domain", ["numvqa", "attrod"])
def test_every_domain_that_comes_along_has_a_supernet(domain):
    folders = [folder for folder in shipped_supernets().values() if domain_of(folder) == domain]
    assert folders and all(TrainedSupernet.load(folder).domain_name == domain for folder in folders)


def test_a_name_is_a_shipped_supernet_and_a_path_is_a_folder(tmp_path, monkeypatch):
    assert find_supernet(None) == find_supernet(Path(DEFAULT)) == shipped_supernet()
    assert find_supernet(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).mkdir()
    assert find_supernet(Path(DEFAULT)) == Path(DEFAULT), "a folder that is there is what is meant"


@pytest.mark.parametrize(("domain", "most_mib"), [("numvqa", 25), ("attrod", 5)])
def test_together_they_stay_small(domain, most_mib):
    folders = [folder for folder in shipped_supernets().values() if domain_of(folder) == domain]
    files = [file for folder in folders for file in folder.iterdir()]
    assert sum(file.stat().st_size for file in files) < most_mib * 2**20

import pytest

from tests.domains.detection.small_coco import write_small_coco


@pytest.fixture
def coco_folder(tmp_path):
    """A small folder in COCO's format; see `small_coco`."""
    return write_small_coco(tmp_path / "coco")

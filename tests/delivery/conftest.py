import pytest
from edgewright.devices.connect import open_session
from edgewright.devices.registry import Registry


@pytest.fixture(scope="session")
def local_session(tmp_path_factory):
    """This machine's real agent."""
    place = tmp_path_factory.mktemp("local")
    with open_session(Registry(place).get("local"), place) as opened:
        yield opened

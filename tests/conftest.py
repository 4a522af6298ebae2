"""What many tests share: the shipped supernet, its template, and one workspace with a small campaign in it."""

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are tiny: more threads only wait for each other

import pytest

pytest.register_assert_rewrite("edgewright.testing")

pytest_plugins = ["tests.rigs.fixtures"]


def pytest_configure():
    """A run started in the background inherits ignored interrupts, and so would every process that is interrupted."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """The device side first: its tests fork, which is only safe before a conversion has started JAX's threads."""
    items.sort(key=lambda item: "device_agent" not in item.path.parts)


@pytest.fixture(scope="session")
def domain():
    """NumVQA over the digits that come along: what the shipped supernets were trained for."""
    from edgewright.data.digits import load_digits
    from edgewright.domains.numvqa.domain import NumVqa

    return NumVqa(load_digits())


@pytest.fixture(scope="session")
def trained():
    from edgewright.assembler.archive import TrainedSupernet
    from edgewright.shipped import shipped_supernet

    return TrainedSupernet.load(shipped_supernet())


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """A workspace folder that all tests of the whole flow share: what is made in it is made once."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def template(trained, workspace):
    from edgewright.customize.templates import load_or_build

    return load_or_build(trained, workspace / "templates")


@pytest.fixture(scope="session")
def profiled(trained, template, workspace):
    """The workspace after a campaign of 30 subnets on this machine."""
    from edgewright.workbench.options import CampaignOptions
    from edgewright.workbench.workbench import Workbench

    with Workbench(workspace) as bench:
        bench.pair("local", trained).profile(CampaignOptions(30))
    return workspace

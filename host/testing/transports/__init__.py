"""What every transport promises, as tests:

    from edgewright.testing.transports import TransportContract

    class TestMine(TransportContract):
        @pytest.fixture
        def open_transport(self, tmp_path):
            return lambda: MyTransport(tmp_path)

`open_transport` gives a function that opens one more connection to the same device; the contract closes them.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator

import pytest

from ...devices.transport import Transport
from .commands import Commands
from .files import Files
from .remote import Remote
from .streams import Streams

__all__ = ["Remote", "TransportContract"]


class TransportContract(Commands, Files, Streams):
    """Tests of one transport; see the module. `starts_here` is for one that starts commands in this very process."""

    starts_here = False

    @pytest.fixture
    def open_transport(self) -> Callable[[], Transport]:
        pytest.fail("override the fixture `open_transport` with a function that opens your transport")

    @pytest.fixture
    def remote(self, open_transport: Callable[[], Transport]) -> Iterator[Remote]:
        opened: list[Transport] = []
        others = set(threading.enumerate())

        def open_it() -> Transport:
            opened.append(open_transport())
            return opened[-1]

        transport = open_it()
        folder = f"{transport.agent_dir}/contract {secrets.token_hex(4)}"
        made = transport.run(["mkdir", "-p", folder], 60)
        assert made.returncode == 0, made
        yield Remote(self.starts_here, transport, folder, open_it)
        open_it().run(["rm", "-rf", folder], 60)
        for each in opened:
            each.close()
        ours = {thread for thread in threading.enumerate() if "edgewright" in thread.name}
        assert ours <= others, "threads stay behind"

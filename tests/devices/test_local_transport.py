from __future__ import annotations

import sys
from pathlib import Path

import pytest
from edgewright.host.devices.local import LocalTransport
from edgewright.host.devices.transport import Completed, Stream, Transport
from edgewright.host.errors import DeviceError


@pytest.fixture
def transport() -> Transport:
    return LocalTransport()


def test_run_gives_exit_code_and_both_streams(transport: Transport) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert transport.run([sys.executable, "-c", code], 30) == Completed(3, b"out\n", b"err\n")


def test_arguments_never_meet_a_shell(transport: Transport, tmp_path: Path) -> None:
    hostile = f"$(touch {tmp_path}/pwned); `id` '\" && touch {tmp_path}/pwned\n*"
    done = transport.run([sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1])", hostile], 30)
    assert done.stdout.decode() == hostile and list(tmp_path.iterdir()) == []


def test_run_that_hangs_or_cannot_start_is_a_device_error(transport: Transport) -> None:
    with pytest.raises(DeviceError, match="did not end within 0.3 s"):
        transport.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.3)
    with pytest.raises(DeviceError, match="check that it is installed"):
        transport.run(["/no/such/program"], 5)


def test_push_and_pull_copy_whole_files(transport: Transport, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"\0model" * 1000)
    transport.push(source, str(tmp_path / "device" / "m"))
    transport.pull(str(tmp_path / "device" / "m"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "device" / "m").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DeviceError, match="no such file"):
        transport.pull(str(tmp_path / "absent"), tmp_path / "back")


def read_all(stream: Stream) -> bytes:
    parts = []
    while part := stream.read(1 << 16, 30):
        parts.append(part)
    return b"".join(parts)


def test_stream_carries_both_ways_and_drains_stderr(transport: Transport) -> None:
    code = (
        "import sys; sys.stderr.write('x' * 3_000_000 + 'last words'); sys.stdout.write(sys.stdin.readline().upper())"
    )
    stream = transport.open_stream([sys.executable, "-c", code])
    stream.write(b"hello\n", 30)
    assert read_all(stream) == b"HELLO\n"
    stream.close(30)
    tail = stream.stderr_tail()
    assert tail.endswith("last words") and len(tail) < 10_000
    assert stream.ending() == "it ended with exit code 0"


def test_stream_times_out_both_ways(transport: Transport) -> None:
    stream = transport.open_stream([sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(TimeoutError):
        stream.read(1, 0.2)
    with pytest.raises(TimeoutError):
        stream.write(b"x" * (1 << 20), 0.2)
    assert stream.ending() == "it is still running"
    stream.kill()
    stream.kill()
    assert stream.ending() == "it was killed by SIGKILL"

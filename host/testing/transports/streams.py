"""Commands that read and write while they run."""

from __future__ import annotations

import os
import threading
import time

import pytest

from .remote import Remote, ends_soon, is_running, read_all, read_exactly, read_line


class Streams:
    def test_a_stream_carries_both_ways(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["cat"])
        for data in (b"x", b"\0\xff\r\n\x03\x04", os.urandom(64), os.urandom(200_000)):
            writer = threading.Thread(target=stream.write, args=(data, 60))
            writer.start()
            assert read_exactly(stream, len(data)) == data
            writer.join()
        assert stream.ending() == "it is still running"
        stream.close(30)
        assert stream.ending() == "it ended with exit code 0"

    def test_a_read_gives_at_most_what_was_asked_for(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["sh", "-c", "printf 0123456789"])
        assert len(stream.read(3, 30)) <= 3
        stream.close(30)

    def test_two_threads_write_and_read_at_once(self, remote: Remote) -> None:
        """Heartbeats are written while a reply is awaited: neither's time limit disturbs the other's."""
        stream = remote.transport.open_stream(["sh", "-c", "read x; sleep 1.5; echo late; cat > /dev/null"])
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.05):
                stream.write(b"beat\n", 0.2)

        beats = threading.Thread(target=beat)
        beats.start()
        assert stream.read(5, 30) == b"late\n"
        stop.set()
        beats.join()
        stream.close(30)
        assert stream.ending() == "it ended with exit code 0"

    def test_large_writes_arrive_whole(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["sh", "-c", "sha256sum"])
        stream.write(b"\0" * 16_000_000, 60)
        stream.write(b"", 60)
        stream.close(60)
        assert stream.ending() == "it ended with exit code 0"

    def test_time_limits_of_a_stream(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["sh", "-c", "echo up; exec sleep 600"])
        assert read_exactly(stream, 3) == b"up\n"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            stream.read(1, 0.3)
        with pytest.raises(TimeoutError):
            stream.read(1, 0)
        with pytest.raises(TimeoutError):
            stream.write(b"x" * 64_000_000, 0.5)
        assert time.monotonic() - began < 20, "a time limit does not hold"
        stream.kill()

    @pytest.mark.parametrize("code", [0, 3, 255])
    def test_the_end_of_a_stream(self, remote: Remote, code: int) -> None:
        stream = remote.transport.open_stream(["sh", "-c", f"echo last words >&2; echo bye; exit {code}"])
        assert read_all(stream) == b"bye\n" and stream.read(1, 5) == b""
        assert stream.ending() == f"it ended with exit code {code}"
        assert stream.stderr_tail() == "last words"
        stream.close(5)
        assert stream.ending() == f"it ended with exit code {code}"

    def test_writing_to_a_command_that_has_ended(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["true"])
        assert read_all(stream) == b""
        with pytest.raises(OSError):
            for _ in range(100):
                stream.write(b"x" * 100_000, 5)
                time.sleep(0.01)
        stream.close(5)

    def test_stderr_is_drained_and_its_tail_kept(self, remote: Remote) -> None:
        script = "head -c 5000000 /dev/zero >&2; echo 'the end' >&2; echo done"
        stream = remote.transport.open_stream(["sh", "-c", script])
        assert read_all(stream) == b"done\n"
        stream.close(30)
        assert stream.stderr_tail().endswith("the end") and len(stream.stderr_tail()) < 20_000

    def test_close_lets_a_command_end_by_itself(self, remote: Remote) -> None:
        script = 'cat > /dev/null; sleep 0.5; echo finished > "$1"; exit 5'
        stream = remote.transport.open_stream(["sh", "-c", script, "sh", f"{remote.folder}/out"])
        stream.close(30)
        assert stream.ending() == "it ended with exit code 5"
        assert remote.content(f"{remote.folder}/out") == b"finished\n"

    @pytest.mark.parametrize("ending", ["close", "kill"])
    def test_a_command_that_goes_on_is_ended_with_what_it_started(self, remote: Remote, ending: str) -> None:
        script = "trap '' HUP PIPE TERM; sleep 600 & echo $! $$; while :; do sleep 1; done"
        stream = remote.transport.open_stream(["sh", "-c", script])
        child, parent = map(int, read_line(stream).split())
        assert is_running(remote.transport, child) and is_running(remote.transport, parent)
        began = time.monotonic()
        stream.close(0.3) if ending == "close" else stream.kill()
        assert time.monotonic() - began < 10
        assert ends_soon(remote.transport, parent) and ends_soon(remote.transport, child)
        assert "killed" in stream.ending()
        for again in (stream.kill, stream.kill, lambda: stream.close(5), lambda: stream.close(5)):
            again()

    def test_closing_the_transport_ends_its_streams(self, remote: Remote) -> None:
        transport = remote.reconnect()
        streams = [transport.open_stream(["sh", "-c", "echo $$; exec sleep 600"]) for _ in range(2)]
        pids = [int(read_line(stream)) for stream in streams]
        transport.close()
        transport.close()
        assert all(ends_soon(remote.transport, pid) for pid in pids)
        for stream in streams:
            stream.kill()
            stream.close(1)

    def test_many_streams_at_once(self, remote: Remote) -> None:
        streams = [remote.transport.open_stream(["cat"]) for _ in range(5)]
        for number, stream in enumerate(streams):
            stream.write(b"%d\n" % number, 30)
        assert [read_exactly(stream, 2) for stream in streams] == [b"%d\n" % number for number in range(5)]
        for stream in streams:
            stream.close(30)

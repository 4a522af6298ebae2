"""Commands that run to completion."""

from __future__ import annotations

import pytest

from ...devices.transport import Completed
from ...errors import DeviceError
from .remote import HOSTILE, Remote, ends_soon, read_all


class Commands:
    @pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
    def test_run_gives_the_exit_code(self, remote: Remote, code: int) -> None:
        assert remote.sh(f"exit {code}") == Completed(code, b"", b"")

    def test_run_keeps_the_outputs_apart_and_whole(self, remote: Remote) -> None:
        done = remote.sh(r"printf 'out\0\377\r\n'; printf 'err\n\n' >&2; exit 3")
        assert done == Completed(3, b"out\0\xff\r\n", b"err\n\n")

    def test_a_command_killed_by_a_signal_is_no_success(self, remote: Remote) -> None:
        assert remote.sh("kill -9 $$").returncode in (-9, -1, 137)

    def test_a_full_stderr_does_not_stop_stdout(self, remote: Remote) -> None:
        done = remote.sh("head -c 8000000 /dev/zero >&2; echo middle; head -c 8000000 /dev/zero >&2; echo end")
        assert done.stdout == b"middle\nend\n" and len(done.stderr) == 16_000_000

    def test_large_outputs_arrive_whole(self, remote: Remote) -> None:
        done = remote.sh("head -c 8000000 /dev/zero; printf end")
        assert len(done.stdout) == 8_000_003 and done.stdout.endswith(b"\0end")

    def test_stdin_is_empty(self, remote: Remote) -> None:
        assert remote.transport.run(["cat"], 30) == Completed(0, b"", b"")

    def test_arguments_arrive_verbatim(self, remote: Remote) -> None:
        done = remote.sh('cd "$1" && shift && exec printf "[%s]" "$@"', remote.folder, *HOSTILE)
        assert done.stdout.decode() == "".join(f"[{argument}]" for argument in HOSTILE)
        done = remote.transport.run(["printf", "[%s]", *HOSTILE], 30)
        assert done.stdout.decode() == "".join(f"[{argument}]" for argument in HOSTILE)
        assert remote.names() == [], "an argument met a shell"

    def test_streams_get_their_arguments_verbatim(self, remote: Remote) -> None:
        stream = remote.transport.open_stream(["printf", "[%s]", *HOSTILE])
        assert read_all(stream).decode() == "".join(f"[{argument}]" for argument in HOSTILE)
        stream.close(30)

    @pytest.mark.parametrize("argv", [["printf", "a\0b"], ["pri\0ntf", "a"]])
    def test_a_nul_in_an_argument_is_refused(self, remote: Remote, argv: list[str]) -> None:
        with pytest.raises(ValueError):
            remote.transport.run(argv, 5)
        with pytest.raises(ValueError):
            remote.transport.open_stream(argv)

    def test_a_command_that_is_not_there(self, remote: Remote) -> None:
        """Exit code 127 where a shell looks for it, a `DeviceError` with its name where none does: never a success."""
        try:
            assert remote.transport.run(["no-such-program"], 30).returncode == 127
        except DeviceError as error:
            assert remote.starts_here and "no-such-program" in str(error)
        try:
            stream = remote.transport.open_stream(["no-such-program"])
        except DeviceError as error:
            assert remote.starts_here and "no-such-program" in str(error)
        else:
            assert read_all(stream) == b"" and "127" in stream.ending() and "no-such-program" in stream.stderr_tail()
            stream.close(5)

    def test_a_command_that_hangs_is_a_device_error_and_is_stopped(self, remote: Remote) -> None:
        pid_file = f"{remote.folder}/pid"
        with pytest.raises(DeviceError, match=r"sh did not end within 1 s"):
            remote.sh('echo $$ > "$1"; exec sleep 600', pid_file, timeout_s=1)
        assert ends_soon(remote.transport, int(remote.content(pid_file)))

    def test_what_a_hanging_command_started_is_stopped_with_it(self, remote: Remote) -> None:
        pid_file = f"{remote.folder}/child"
        with pytest.raises(DeviceError, match=r"sh did not end within 1 s"):
            remote.sh('sleep 600 & echo $! > "$1"; wait', pid_file, timeout_s=1)
        assert ends_soon(remote.transport, int(remote.content(pid_file)))

    def test_a_command_that_never_stops_writing_is_a_device_error(self, remote: Remote) -> None:
        with pytest.raises(DeviceError, match="did not end within 1 s"):
            remote.sh("while :; do echo y; done", timeout_s=1)
        assert remote.sh("echo still here").stdout == b"still here\n"

    # Files

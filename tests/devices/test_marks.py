"""Commands between marks, as a real shell runs them and as they come back in any parts."""

from __future__ import annotations

import subprocess

import pytest
from edgewright.devices.marks import Command, Errors, Output, ShellError
from edgewright.errors import InputError
from hypothesis import given
from hypothesis import strategies as st


def run(command: Command, before: str = "", after: str = "") -> tuple[int | None, bytes, bytes]:
    """Exit code and outputs, of a shell that says something itself."""
    script = f"{before}\nsh -c \"$1\"\n{after}\n"
    done = subprocess.run(["sh", "-c", script, "sh", command.program], capture_output=True, check=False)
    errors = Errors(command, None)
    errors.take(done.stderr)
    assert errors.pid is not None
    stdout, code = command.ended(Output(command).after_mark(done.stdout))
    return code, stdout, errors.kept()


def test_a_program_is_words_whatever_is_in_them() -> None:
    words = ["", " ", "'", '"', "$(id)", "`id`", ";", "&&", "*", "~", "\n", "\\", "-n", "#", "é"]
    argv = ("python3", "-c", "import sys; print(sys.argv[1:])", *words)
    assert run(Command(argv, reports_exit_code=True)) == (0, f"{words!r}\n".encode(), b"")
    assert run(Command(argv)) == (None, f"{words!r}\n".encode(), b"")


@pytest.mark.parametrize(("code", "printed"), [(0, b"a;b\nthen\n"), (3, b"a;b\n")])
def test_a_second_command_runs_if_the_first_succeeds(code: int, printed: bytes) -> None:
    first = ("sh", "-c", f"echo 'a;b'; exit {code}")
    assert run(Command(first, reports_exit_code=True, then=("echo", "then"))) == (code, printed, b"")


@pytest.mark.parametrize("argv", [(), ("echo", "a\0b")])
def test_a_command_that_cannot_be_one_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="got"):
        Command(argv)


def test_a_shell_that_speaks_before_and_after_on_both_outputs_is_not_heard() -> None:
    command = Command(("sh", "-c", r"printf 'out\0'; printf 'err\0' >&2; exit 3"), reports_exit_code=True)
    speaks = r"echo hello; echo warning >&2; printf 'no line end\0'; printf '\0' >&2"
    assert run(command, before=speaks, after=speaks) == (3, b"out\0", b"err\0")


@given(noise=st.binary(max_size=40), said=st.binary(max_size=40), cuts=st.lists(st.integers(0, 150), max_size=6))
def test_output_and_errors_are_the_same_in_whatever_parts_they_come(noise: bytes, said: bytes, cuts: list[int]) -> None:
    command = Command(("cat",))
    mark = command.program.split()[1].rstrip(";").encode()
    output, errors = Output(command), Errors(command, None)
    got = b"".join(output.after_mark(part) for part in parted(noise + mark + b"\n" + said, cuts))
    for part in parted(noise + mark + b" 4711\n" + said, cuts):
        errors.take(part)
    assert (got, output.noise) == (said, None)
    assert (errors.kept(), errors.pid) == (said, 4711)


def parted(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    return [data[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def test_only_the_end_of_a_long_stderr_is_kept() -> None:
    command = Command(("cat",))
    errors = Errors(command, 8)
    errors.take(command.program.split()[1].rstrip(";").encode() + b" 1\n")
    for _ in range(3):
        errors.take(b"0123456789")
    assert errors.kept() == b"23456789"


@pytest.mark.parametrize(
    ("after_mark", "sentence"), [(b"\r\n", "its shell changes line ends"), (None, "its shell prints too much")]
)
def test_a_shell_that_garbles_is_told(after_mark: bytes | None, sentence: str) -> None:
    command = Command(("cat",))
    mark = command.program.split()[1].rstrip(";").encode()
    with pytest.raises(ShellError, match=sentence):
        command.begun(b"x" * ((1 << 20) + 1) if after_mark is None else mark + after_mark)

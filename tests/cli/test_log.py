"""`--verbose`, and the log of a command that failed while it talked to a device."""

import json
import os
import subprocess
import sys

import pytest
import typer.main
from edgewright.cli.app import app
from edgewright.version import __version__

from tests.cli.command_line import MAIN


def commands(command=None, name="edgewright"):
    """All commands with their names, without the groups."""
    command = command or typer.main.get_command(app)
    inner = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}")


@pytest.mark.parametrize(("name", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_every_command_takes_the_common_options(name, command):
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--workspace", "--json", "--verbose", "-v"} <= options


def test_the_version(edgewright):
    answer = edgewright("--version")
    assert answer.exit_code == 0 and answer.out == f"edgewright {__version__}\n"


def test_the_shell_completes_commands():
    wanted = {"_EDGEWRIGHT_COMPLETE": "complete_bash", "COMP_WORDS": "edgewright cust", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", MAIN], env=os.environ | wanted, capture_output=True, text=True)
    assert done.stdout.split() == ["customize"], done.stderr


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    return path


def logs(workspace):
    return sorted((workspace / "logs").glob("*.log"))


def test_a_failure_at_a_device_leaves_what_went_over_the_link(edgewright, tmp_path, broken):
    answer = edgewright("measure", broken, "--workspace", tmp_path, "--json")
    assert answer.exit_code == 5
    (log,) = logs(tmp_path)
    assert log.name.endswith("-measure.log") and answer.json["log"] == str(log)
    assert answer.err.splitlines()[-1] == f"edgewright: what went over the link is in {log}"
    text = log.read_text()
    assert text.splitlines()[0] == answer.json["error"]
    assert "local: asks" in text and "measure" in text and "load_failed" in text and "local: stream" in text


def test_bad_input_leaves_no_log_and_no_workspace(edgewright, tmp_path):
    answer = edgewright("measure", tmp_path / "absent.tflite", "--workspace", tmp_path / "new", "--json")
    assert answer.exit_code == 2 and "log" not in answer.json and not (tmp_path / "new").exists()


def test_only_the_last_logs_are_kept(edgewright, tmp_path, broken):
    (tmp_path / "logs").mkdir()
    for second in range(25):
        (tmp_path / "logs" / f"20200101-0000{second:02d}-profile.log").write_text("old")
    edgewright("measure", broken, "--workspace", tmp_path)
    names = [path.name for path in logs(tmp_path)]
    assert len(names) == 20 and names[0] == "20200101-000006-profile.log" and names[-1].endswith("-measure.log")


def test_verbose_shows_the_link_and_where_an_error_came_from(edgewright, tmp_path, broken):
    quiet = edgewright("measure", broken, "--workspace", tmp_path)
    assert "asks" not in quiet.err and "Traceback" not in quiet.err
    shown = edgewright("measure", broken, "--workspace", tmp_path, "-v", "--json")
    assert "local: asks" in shown.err and "Traceback (most recent call last)" in shown.err
    assert json.loads(shown.out)["exit_code"] == 5


def test_what_a_device_says_does_not_steer_the_terminal(edgewright, tmp_path, monkeypatch):
    """A device's words are shown as text in the log, too."""
    import logging

    from edgewright.cli.log import LOG

    LOG.begin(True, tmp_path)
    logging.getLogger("edgewright.devices").debug("board: %s", "\x1b[2J red")
    path = LOG.keep("measure", "it failed")
    assert "\x1b" not in path.read_text() and "\\x1b[2J red" in path.read_text()

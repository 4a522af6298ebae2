"""Output may contain text from a device: it is shown as it is and cannot control the terminal."""

from __future__ import annotations

import pytest
from edgewright.cli.output import Output, clean


def test_brackets_are_text(capfd: pytest.CaptureFixture[str]) -> None:
    """An import error names a library in brackets, a model file has some in its name."""
    output = Output(as_json=False)
    output.table("models[a].tflite", {"why": "cannot open [/usr/lib/x.so] [red]now"})
    output.grid(["what[b]"], [["[/closed]"]])
    output.say("[bold]plain")
    said = capfd.readouterr().err
    assert "models[a].tflite" in said and "[/usr/lib/x.so] [red]now" in said
    assert "[/closed]" in said and "[bold]plain" in said


def test_escape_sequences_are_shown_not_obeyed(capfd: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    output.say("Phone \x1b]0;owned\x07\u202e")
    output.table("t", {"model": "\x1b[2Jgone"})
    said = capfd.readouterr().err
    assert "\x1b" not in said and "\x07" not in said
    assert "Phone \\x1b]0;owned\\x07\\u202e" in said and "\\x1b[2Jgone" in said
    assert clean("two\nlines\tähm 長") == "two\nlines\tähm 長"

"""Parameters that a sentence names become the options of the command that was invoked."""

import pytest
from edgewright.cli.app import with_options


@pytest.mark.parametrize(
    ("words", "sentence", "shown"),
    [
        (["profile", "local", "--resume"], "start without `resume`", "start without --resume"),
        (["customize"], "at least one of `latency_ms`, `memory_mib`", "at least one of --latency-ms, --memory-mib"),
        (["agent", "deploy", "board"], "leave out `bundle`", "leave out --bundle"),
        (["agent", "status", "board"], "leave out `bundle`", "leave out `bundle`"),
        (["push", "m.tflite"], "run `edgewright push` again", "run `edgewright push` again"),
        ([], "start without `resume`", "start without `resume`"),
    ],
)
def test_only_options_of_the_invoked_command_are_named(words, sentence, shown):
    assert with_options(sentence, words) == shown

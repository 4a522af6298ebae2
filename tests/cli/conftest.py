import json
from dataclasses import dataclass

import pytest
from edgewright.cli.app import main


@dataclass(frozen=True)
class Answer:
    exit_code: int
    out: str
    err: str

    @property
    def json(self):
        """The one object on stdout; anything else there is an error."""
        return json.loads(self.out)


@pytest.fixture
def edgewright(monkeypatch, capfd):
    """Run a command in this process; `capfd` also sees what native code prints."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["edgewright", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        return Answer(int(stop.value.code or 0), captured.out, captured.err)

    return run

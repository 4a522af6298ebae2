"""The command line as a user runs it: every command is its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MAIN = "import sys; from edgewright.cli.app import main; sys.argv = ['edgewright', *sys.argv[1:]]; main()"


class Cli:
    """`edgewright ...` in a workspace of its own, in processes of its own."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.stderr = ""
        """What the last command told the person at the terminal."""

    def __call__(self, *words: str, code: int = 0) -> Any:
        """The JSON object that a command ends with; it must end with the exit code `code`."""
        argv = [sys.executable, "-c", MAIN, *words, "--workspace", str(self.workspace), "--json"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=280, cwd=self.workspace)
        self.stderr = done.stderr
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

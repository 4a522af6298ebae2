"""The code blocks of the documentation, and the comment before each that says how to treat it.

    <!-- long: about an hour -->                takes too long for a test
    <!-- needs: a phone -->                     needs something that is not here
    <!-- files: tests/guest/stripes.toml -->    needs these files of the repository beside it
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = ("console", "python", "sh")
_COMMENT = r"(?:<!-- (?P<word>\w+): (?P<said>[^\n]*) -->\n)?"
_BLOCK = re.compile(rf"^{_COMMENT}```(?P<language>\w+)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """`word` and `said` are of the comment before it, both empty without one."""

    page: Path
    line: int
    language: str
    code: str
    word: str
    said: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def left_out(self) -> str | None:
        """Why it is not run; None where it is."""
        return f"{self.word}: {self.said}" if self.word in ("long", "needs") else None

    @property
    def files(self) -> list[Path]:
        return [ROOT / name for name in self.said.split()] if self.word == "files" else []

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command line: of a console those after a `$`, the rest is what it printed."""
        lines = self.code.replace("\\\n", " ").splitlines()
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [words for line in lines if (words := shlex.split(line, comments=True))]

    @property
    def file_name(self) -> str | None:
        """The file that a block of Python is said to be, by a comment in its first line."""
        found = re.match(r"# (\w+\.py)\n", self.code)
        return found[1] if found and self.language == "python" else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(
            page, text.count("\n", 0, found.start("language")) + 1, found["language"], found["code"],
            found["word"] or "", found["said"] or "",
        )
        for found in _BLOCK.finditer(text)
        if found["language"] in LANGUAGES
    ]  # fmt: skip

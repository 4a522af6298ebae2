"""The documentation works: its blocks of Python and commands run, each page in its own workspace.

Blocks that take long or need something that is not here say so in a comment before them, and are skipped.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.docs.blocks import LANGUAGES, PAGES, ROOT, Block, blocks_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN = [page for page in PAGES if any(block.left_out is None for block in blocks_of(page))]
SMALLER = {
    "--subnets 400": "--subnets 30",
    "--images 8000": "--images 40",
    "--images 500 ": "--images 20 ",
    "--images 2000": "--images 20",
    "--latency-ms 0.3": "--latency-ms 50",  # this machine may be slow, or busy
    "--latency-ms 1 ": "--latency-ms 50 ",
}
"""Smaller amounts, for tests."""


class Page:
    """A reader at a terminal, with one folder, one Python process and the files that the page assumes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self._names: dict[str, Any] = {"__name__": "a_page"}

    def run(self, block: Block) -> None:
        for path in block.files:
            shutil.copy(path, self.folder)
        code = block.code
        for large, small in SMALLER.items():
            code = code.replace(large, small)
        small_block = Block(block.page, block.line, block.language, code, block.word, block.said)
        if block.language == "python":
            self._run_python(small_block)
        else:
            for words in small_block.commands:
                self._run_command(words, str(block))

    def _run_python(self, block: Block) -> None:
        if block.file_name is not None:
            (self.folder / block.file_name).write_text(block.code)
        exec(compile(block.code, str(block), "exec"), self._names)

    def _run_command(self, words: list[str], where: str) -> None:
        from edgewright.cli.app import main

        with ExitStack() as stack:
            if ">" in words:
                words, (target,) = words[: words.index(">")], words[words.index(">") + 1 :]
                stack.enter_context(redirect_stdout(stack.enter_context((self.folder / target).open("w"))))
            assert words[0] == "edgewright", f"{where} runs {words[0]}: say before the block what it needs"
            self._monkeypatch.setattr("sys.argv", words)
            try:
                main()
            except SystemExit as stop:
                assert not stop.code, f"{where}: {' '.join(words)} ended with exit code {stop.code}"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Any, workspace: Path, trained: Any) -> Page:
    from edgewright.domains.registry import DOMAINS
    from edgewright.workbench import campaigns
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("EDGEWRIGHT_WORKSPACE", raising=False)
    monkeypatch.setattr(campaigns, "SHORT_CAMPAIGN", 20)
    monkeypatch.setattr(DOMAINS, "_added", {})  # what a page adds is gone with it
    known = tmp_path / "edgewright-workspace" / "templates"
    known.mkdir(parents=True)
    shutil.copy(workspace / "templates" / f"{trained.digest}.ewt", known)  # the supernet is converted once for all
    (tmp_path / "some.tflite").write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)).save(tmp_path / "photo.png")
    _write_latencies(tmp_path / "latencies.csv")
    (tagger,) = [block for block in BLOCKS if block.file_name == "tagger.py"]
    (tmp_path / "tagger.py").write_text(tagger.code)
    return Page(tmp_path, monkeypatch)


def _write_latencies(path: Path) -> None:
    """Somebody's measurements: latency grows with all three."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(8, 64, 120), rng.integers(1, 9, 120), rng.integers(32, 224, 120)])
    ms = 0.1 + rows.prod(1) / 20_000 * rng.uniform(0.99, 1.01, 120)
    table = "".join(f"{w},{d},{r},{each:.4f}\n" for (w, d, r), each in zip(rows.tolist(), ms, strict=True))
    path.write_text("width,depth,resolution,ms\n" + table)


@pytest.mark.sweep
@pytest.mark.parametrize("path", RUN, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_does_what_it_shows(path: Path, page: Page) -> None:
    for block in blocks_of(path):
        if block.left_out is None:
            page.run(block)
    for name in ("stripes", "tagger"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.left_out], ids=str)
def test_what_is_left_out_says_why(block: Block) -> None:
    assert block.said, f"{block} is left out for no reason"
    pytest.skip(f"{block} {block.left_out}")


def test_every_block_is_known() -> None:
    """A misspelt comment or language would leave a block out in silence."""
    assert {block.word for block in BLOCKS} <= {"", "long", "needs", "files"}
    fences = sum(page.read_text("utf-8").count(f"\n```{name}\n") for page in PAGES for name in LANGUAGES)
    assert fences == len(BLOCKS) > 20
    text = "".join(block.code for block in BLOCKS if block.left_out is None)
    assert [large for large in SMALLER if large not in text] == [], "nothing of that size is shown any more"


def inline_commands() -> list[tuple[str, list[str]]]:
    """Commands within sentences and tables, which are not run."""
    return [
        (path.name, shlex.split(text.replace("\\|", "|")))
        for path in PAGES
        for text in re.findall(r"`(edgewright [^`\n]+)`", path.read_text("utf-8"))
    ]


@pytest.mark.parametrize(("page_name", "words"), inline_commands(), ids=lambda value: str(value))
def test_a_command_within_a_sentence_exists(page_name: str, words: list[str]) -> None:
    """Each word up to the first option or argument names a command, and each option is one of its own."""
    import typer.main
    from edgewright.cli.app import app

    command: Any = typer.main.get_command(app)
    for word in words[1:]:
        if not hasattr(command, "commands"):
            break
        if not word.startswith("-"):
            command = command.commands[word]
    flags = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= flags | {"--install-completion"}


def test_links_lead_somewhere() -> None:
    for path in PAGES:
        text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists(), f"{path.name}: {target}"
            if anchor:
                assert anchor in anchors_of(file), f"{path.name}: {target}"


def test_the_rooms_that_contributors_are_shown_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"(?:host|device_agent|converters|tests|benchmarks)/[\w/.]*\w", text))
    assert len(named) > 20
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


def anchors_of(path: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_whole_flow_takes_less_than_thirty_lines() -> None:
    first = blocks_of(ROOT / "docs" / "python.md")[0]
    assert len(first.code.splitlines()) < 30
    assert all(word in first.code for word in ("profile", "report", "customize", "push=True", "measure"))

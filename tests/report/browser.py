"""Opens a page in a real headless Chromium without a network, and returns what it drew and which errors it logged."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here; Debian's package `chromium` brings it")


@dataclass(frozen=True)
class Opened:
    """The document after its scripts ran, and the console's lines."""

    dom: str
    console: tuple[str, ...]

    def section(self, name: str) -> str:
        return self.dom.partition(f'<section id="{name}">')[2].partition("</section>")[0]

    def points(self, name: str) -> int:
        """How many points a chart drew."""
        return len(re.findall(r'<path class="point"', self.section(name)))


def open_page(page: Path, profile: Path) -> Opened:
    ran = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0", "--window-size=1000,3000",
            "--virtual-time-budget=20000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=180, check=True,
    )  # fmt: skip
    return Opened(ran.stdout, tuple(line for line in ran.stderr.splitlines() if "CONSOLE" in line))

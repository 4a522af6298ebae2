"""What only a live browser shows of the page: its width on a phone, its requests, and what its policy blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgewright.report.page import render
from edgewright.report.page_data import GateShares

from tests.report.browser import needs_chromium
from tests.report.devtools import Browser
from tests.report.invented import front, page_data

pytestmark = needs_chromium

MARKUP = "<b>bold</b> <a href='https://example.org'>link</a>"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_bytes(render(page_data()))
    return path


def test_a_phone_needs_no_sideways_scrolling(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile", width=390) as phone:
        phone.open(page)
        assert phone.value("document.documentElement.scrollWidth") <= 390
        widths = phone.value("[...document.querySelectorAll('.chart svg.main-svg')].map(svg => svg.clientWidth)")
        assert widths and max(widths) <= 390


def test_the_page_requests_itself_and_nothing_else(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.open(page)
        assert [url for url in browser.requests if not url.startswith(("data:", "blob:"))] == [page.as_uri()]
        assert browser.complaints == []


def test_the_policy_forbids_the_network_to_any_script(page: Path, tmp_path: Path) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.open(page)
        assert browser.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        assert any("Content Security Policy" in complaint for complaint in browser.complaints)


def test_markup_in_the_name_of_a_task_or_site_is_drawn_as_text(tmp_path: Path) -> None:
    shares = GateShares(0.2, (MARKUP, "has, 7"), (MARKUP, "conv2"), np.eye(2), 2)
    path = tmp_path / "page.html"
    path.write_bytes(render(page_data(gate_shares=shares, fronts=(front(MARKUP), front("has, 7")))))
    with Browser(tmp_path / "profile") as browser:
        browser.open(path)
        texts = browser.value("[...document.querySelectorAll('.chart text')].map(text => text.textContent)")
        assert texts.count(MARKUP) == 3  # a legend's entry and two axes' labels
        assert browser.value("document.querySelectorAll('.chart text a').length") == 0

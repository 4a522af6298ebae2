"""The report page: complete, drawn by a real browser without a network, and safe from what a device might inject."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgewright.errors import InputError
from edgewright.report.page import render
from edgewright.report.page_data import CampaignVerdict, Learning
from edgewright.report.pictures import pictures

from tests.report.browser import needs_chromium, open_page
from tests.report.invented import N, page_data

ATTACK = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "page.html"
    path.write_bytes(content)
    return path


@needs_chromium
def test_a_browser_draws_every_chart_and_has_no_complaint(tmp_path: Path) -> None:
    opened = open_page(write(tmp_path, render(page_data())), tmp_path / "profile")
    assert opened.console == ()
    assert opened.points("latency") == opened.points("memory") == N
    assert opened.points("drift") == 2 * N
    assert opened.points("learning") == 3
    assert opened.points("pareto") == 3 * 2 * 6, "three costs, two tasks, six points each"
    assert 'class="hm"' in opened.section("gates") and "only two, even" in opened.section("gates")
    assert "0.41" in opened.section("verified")


@needs_chromium
def test_the_check_above_sees_a_broken_page(tmp_path: Path) -> None:
    broken = render(page_data()).replace(b'getElementById("charts")', b'getElementById("chart")')
    opened = open_page(write(tmp_path, broken), tmp_path / "profile")
    assert opened.console and opened.points("latency") == 0


@needs_chromium
def test_what_a_device_says_stays_text(tmp_path: Path) -> None:
    data = page_data(device=ATTACK, facts=(("model", ATTACK),), verdict=CampaignVerdict((), (ATTACK,)))
    data = replace(data, fronts=tuple(replace(front, task=ATTACK) for front in data.fronts))
    opened = open_page(write(tmp_path, render(data)), tmp_path / "profile")
    title = opened.dom.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("&lt;/script&gt;") and "<img src=x" not in opened.dom
    assert opened.console == () and opened.points("latency") == N


def test_the_page_asks_no_network() -> None:
    text = render(page_data()).decode()
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "http" not in outside.replace("http-equiv", "")
    assert "default-src 'none'" in text or "default-src &#39;none&#39;" in text


def test_a_part_without_data_says_why() -> None:
    data = page_data(learning=None, verified=(), gaps={"learning": "too few <subnets>."})
    text = render(data).decode()
    assert "Not shown: too few &lt;subnets&gt;." in text and "No model has been verified yet." in text
    assert 'id="chart-learning"' not in text


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="mape must be finite, got nan"):
        Learning(np.array([1, 2]), np.array([1.0, np.nan]), None, "")
    with pytest.raises(InputError, match=r"mape must have shape \(2,\), got \(3,\)"):
        Learning(np.array([1, 2]), np.array([1.0, 2.0, 3.0]), None, "")


@needs_chromium
def test_the_charts_as_pictures() -> None:
    data = replace(page_data(), predictions=(), drift=None, fronts=(), gate_shares=None)
    ((name, svg),) = pictures(data, "svg")
    assert name == "learning" and svg.lstrip().startswith(b"<svg") and b"noise floor" in svg
    ((_, png),) = pictures(data, "png")
    assert png.startswith(b"\x89PNG")

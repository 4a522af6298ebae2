"""A page's charts as PNG or SVG, drawn by the same library in a headless Chromium (kaleido)."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..errors import InputError
from .figures import figures
from .page import title_of
from .page_data import PageData

_WIDTH = 900
_SCALE = 1.5


def pictures(data: PageData, form: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of each chart.

    Raises:
        InputError: kaleido or a Chromium is missing.
    """
    try:
        import kaleido
        from choreographer.errors import BrowserFailedError, ChromeNotFoundError
        from kaleido.errors import KaleidoError
    except ImportError as error:
        raise InputError(
            f"pictures need the package kaleido, which is not installed ({error}); "
            "install it with: pip install 'edgewright[pictures]', or use `format` html"
        ) from error
    logging.getLogger("choreographer").setLevel(logging.CRITICAL)  # it tells of its browser's end as of an error
    for name, figure in figures(data).items():
        figure.update_layout(title={"text": title_of(name), "x": 0, "xref": "paper", "font": {"size": 16}})
        figure.update_layout(margin={"t": 110, "l": 8, "r": 16, "b": 8})
        try:
            size = {"format": form, "width": _WIDTH, "height": figure.layout.height, "scale": _SCALE}
            yield name, kaleido.calc_fig_sync(figure, opts=size, kopts={"mathjax": False})  # or it asks a CDN for it
        except (ChromeNotFoundError, BrowserFailedError, KaleidoError) as error:
            raise InputError(
                f"pictures are drawn by Chromium, which cannot be started here ({error}); "
                "install it (Debian: apt install chromium) or use `format` html"
            ) from error

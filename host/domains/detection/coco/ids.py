"""Ids of images, categories and annotations: whole numbers in COCO's own files, strings in those of some tools."""

from __future__ import annotations

from typing import Any

Id = int | str


def as_id(value: Any) -> Id:
    """An id such as 7 or "IMG_7.a". 7, 7.0 and "7" are one: some tools write them in turn. Raises `ValueError`."""
    if isinstance(value, str) and value:
        return int(value) if value.isascii() and value.isdigit() and str(int(value)) == value else value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"expected an id, a whole number or a string, got {value!r}")
    return int(value)

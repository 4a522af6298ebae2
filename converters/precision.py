"""The number formats a model can be delivered in."""

from __future__ import annotations

from enum import Enum


class Precision(str, Enum):
    """`float16`: weights in half precision, computed in float32. `int8`: weights and activations as 8-bit integers."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"

    def __str__(self) -> str:
        return self.value

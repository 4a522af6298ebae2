"""Errors between torch and a model file.

RuntimeError
└── ConversionError   a model that cannot be converted or sliced
    └── ParityError   a converted model that computes something else
"""

from __future__ import annotations


class ConversionError(RuntimeError):
    """A model that cannot be converted or sliced. The message names the site, where there is one."""


class ParityError(ConversionError):
    """A converted model whose outputs differ from torch's."""

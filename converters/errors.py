"""The errors of converting torch models to files.

RuntimeError
└── ConversionError   a model that cannot be converted or sliced
    └── ParityError   a converted model whose outputs differ
"""

from __future__ import annotations


class ConversionError(RuntimeError):
    """A model that cannot be converted or sliced. The message names the site, if there is one."""


class ParityError(ConversionError):
    """A converted model whose outputs differ from torch's."""

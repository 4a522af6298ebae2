"""How quantities read in sentences and tables."""

from __future__ import annotations

_KIB_BELOW_MIB = 0.1


def counted(n: int, one: str, many: str) -> str:
    """`1 try`, `2 tries`."""
    return f"{n} {one if n == 1 else many}"


def size_text(mib: float) -> str:
    """`2.47 MiB`; below a tenth of that `3.1 KiB`, since 0.00 MiB says nothing."""
    return f"{mib * 1024:.3g} KiB" if abs(mib) < _KIB_BELOW_MIB else f"{mib:.2f} MiB"


def bytes_text(n_bytes: int) -> str:
    """The size of a file or of memory, given in bytes."""
    return size_text(n_bytes / 2**20)

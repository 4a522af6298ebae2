"""The machines that a bundle can be built for: those that Debian and LiteRT's wheels both know.

There is no LiteRT wheel for 32-bit ARM (armv7l); such a device needs a Python with tflite-runtime of its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BundleMachine:
    """One kind of machine under the names that others give it."""

    name: str  # `uname -m` says it
    debian: str  # an architecture of Debian
    loader: str  # glibc's, a file name

    @property
    def triplet(self) -> str:
        return f"{self.name}-linux-gnu"

    @property
    def wheel_tags(self) -> tuple[str, ...]:
        return tuple(f"{platform}_{self.name}" for platform in ("manylinux_2_28", "manylinux_2_27", "manylinux2014"))


BUNDLE_MACHINES = {
    each.name: each
    for each in (
        BundleMachine("aarch64", "arm64", "ld-linux-aarch64.so.1"),
        BundleMachine("x86_64", "amd64", "ld-linux-x86-64.so.2"),
    )
}

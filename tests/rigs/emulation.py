"""Running arm64 programs on this machine: the kernel's binfmt_misc and Debian's static qemu-user."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from tests.rigs.client import RigUnavailable

_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_RULE = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")


def require_root() -> None:
    """Rigs mount and change users. Raises `RigUnavailable`."""
    if os.geteuid() != 0:
        raise RigUnavailable("this rig mounts file systems, which only root may", "run them as root, as CI does")


def require_arm64() -> None:
    """Have the kernel start arm64 programs. Raises `RigUnavailable`."""
    if platform.machine() == "aarch64" or (_BINFMT / "qemu-aarch64").exists():
        return
    if not (_BINFMT / "register").exists():
        raise RigUnavailable(
            "binfmt_misc is not mounted, so this kernel cannot start arm64 programs",
            f"mount -t binfmt_misc binfmt_misc {_BINFMT}",
        )
    if not _RULE.exists():
        raise RigUnavailable("there is no qemu for arm64 programs", "apt-get install qemu-user-static")
    rule = _RULE.read_text().strip()
    if "F" not in rule.rpartition(":")[2]:
        raise RigUnavailable(f"{_RULE} has no F flag, so qemu is not found from within a rig", "use Debian 11 or later")
    try:
        (_BINFMT / "register").write_text(rule)
    except FileExistsError:
        pass  # another session was faster

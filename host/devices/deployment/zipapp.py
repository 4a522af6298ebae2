"""The agent as one file: a zipapp with the package under its own name, to be started by a device's Python."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import edgewright.device_agent as device_agent

from ...files import sha256_of, write_atomic

_PACKAGE = "device_agent"
_ROOT_MAIN = "import sys\n\nfrom device_agent.__main__ import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold: equal sources give equal bytes


def build_agent_zipapp() -> bytes:
    """The zipapp; the same bytes wherever and whenever it is built from the same sources."""
    folder = Path(str(device_agent.__file__)).parent
    sources = sorted(folder.rglob("*.py"))
    files = {f"{_PACKAGE}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in sources}
    files["__main__.py"] = _ROOT_MAIN.encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # stored: deflate differs between zlib versions
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def cached_agent(folder: Path) -> Path:
    """The zipapp in `folder`, named by its hash and written only when missing or altered. Raises `StorageError`."""
    content = build_agent_zipapp()
    path = folder / f"agent-{sha256_of(content)[:16]}.pyz"
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
        os.chmod(path, 0o600)
    return path

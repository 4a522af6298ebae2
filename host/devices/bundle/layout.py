"""Which files of which packages make a runtime, and where they lie in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .machines import BundleMachine

PYTHON = "python3.11"
PACKAGES = (
    "libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1", "libffi8",
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib",
)  # fmt: skip
_LIBRARIES = (
    "libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libz.so.1 libexpat.so.1 "
    "libgcc_s.so.1 libstdc++.so.6 libffi.so.8"
).split()
_EXTENSIONS = {
    "_ctypes", "_json", "_opcode", "_queue", "_contextvars", "mmap", "resource", "_posixshmem", "_lsprof", "_hashlib",
}  # fmt: skip
# What the agent, numpy and LiteRT never import.
_LEFT_OUT = {
    "test", "idlelib", "lib2to3", "distutils", "ensurepip", "tkinter", "turtledemo", "pydoc_data", "asyncio", "xmlrpc",
    "wsgiref", "dbm", "sqlite3", "curses", "venv", "lib-dynload", "__pycache__", "msilib", "LICENSE.txt",
}  # fmt: skip
_LITERT = (
    "__init__.py", "interpreter.py", "metrics_interface.py", "metrics_portable.py",
    "format_converter_wrapper_pybind11.so", "libpywrap_litert_common.so", "_pywrap_litert_interpreter_wrapper.so",
    "_pywrap_tensorflow_lite_metrics_wrapper.so",
)  # fmt: skip
_NUMPY_LEFT_OUT = {"tests", "f2py", "distutils", "doc", "__pycache__", "include"}
# Byte code that is valid whatever the time of a source says: (path, name) in, one JSON line each.
_COMPILE = """
import json, py_compile, sys
for line in sys.stdin:
    path, name = json.loads(line)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(path, path + "c", dfile=name, doraise=True, invalidation_mode=mode)
"""
_RUN = """#!/bin/sh
# Starts this bundle's Python with its own loader and libraries; nothing of the device's is used.
D=${0%/*}
case $D in /*) ;; *) D=$PWD/$D ;; esac
unset LD_PRELOAD LD_LIBRARY_PATH PYTHONSTARTUP
export PYTHONHOME="$D/py" PYTHONPATH="$D/site" HOME="$D" TMPDIR="$D/tmp" LC_ALL=C.UTF-8
export PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1 PYTHONNOUSERSITE=1
P=$D/py/bin/python3.11
exec "$D/lib/LOADER" --library-path "$D/lib" --argv0 "$P" "$P" -s -u "$@"
"""


def lay_out(machine: BundleMachine, system: Path, site: Path, root: Path) -> None:
    """Make the bundle `root` from unpacked Debian packages (`system`) and unpacked wheels (`site`)."""
    for name in ("lib", "py/bin", f"py/lib/{PYTHON}/lib-dynload", "site", "tmp"):
        (root / name).mkdir(parents=True)
    _libraries(machine, system, root / "lib")
    _copy(system / "usr/bin" / PYTHON, root / "py/bin" / PYTHON)
    _standard_library(system / "usr/lib" / PYTHON, root / "py/lib")
    _litert(site, root / "site")
    _numpy(site, root / "site")
    _strip(root)
    (root / "run").write_text(_RUN.replace("LOADER", machine.loader))
    (root / "run").chmod(0o700)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source.resolve(), target)
    target.chmod(0o700)


def _libraries(machine: BundleMachine, system: Path, target: Path) -> None:
    folders = [system / "lib" / machine.triplet, system / "usr/lib" / machine.triplet]
    for name in (machine.loader, *_LIBRARIES):
        _copy(next(folder / name for folder in folders if (folder / name).exists()), target / name)


def _standard_library(source: Path, target: Path) -> None:
    """As one zip beside its extension modules: a few files instead of a thousand."""
    wanted = [path for path in sorted(source.rglob("*.py")) if _is_wanted(path.relative_to(source).parts)]
    names = [path.relative_to(source).as_posix() for path in wanted]
    compiled = _compiled(list(zip(wanted, names, strict=True)))
    with zipfile.ZipFile(target / "python311.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in zip(wanted, names, strict=True):
            member = f"{name}c" if compiled else name
            archive.writestr(zipfile.ZipInfo(member), (compiled.get(path) or path).read_bytes(), zipfile.ZIP_DEFLATED)
    shutil.copyfile(source / "os.py", target / PYTHON / "os.py")  # by which Python finds its home
    for path in source.glob("lib-dynload/*.so"):
        if path.name.partition(".")[0] in _EXTENSIONS - {"_hashlib"}:
            _copy(path, target / PYTHON / "lib-dynload" / path.name)


def _is_wanted(parts: Sequence[str]) -> bool:
    return not (_LEFT_OUT & set(parts) or parts[0].startswith("config-"))


def _compiled(modules: Sequence[tuple[Path, str]]) -> Mapping[Path, Path]:
    """The byte code written beside each (path, name in the bundle); none where this Python's is not the bundle's.

    By a process of its own: what marshal writes depends on which strings the process already holds, and equal files
    must give equal bytes.
    """
    if not _same_byte_code():
        return {}
    lines = "".join(f"{json.dumps([str(path), name])}\n" for path, name in modules)
    argv = [sys.executable, "-I", "-S", "-c", _COMPILE]
    subprocess.run(argv, input=lines.encode(), env={"PYTHONHASHSEED": "0"}, check=True, timeout=300)
    return {path: path.with_name(f"{path.name}c") for path, _ in modules}


def _same_byte_code() -> bool:
    return sys.version_info[:2] == (3, 11) and sys.implementation.name == "cpython"


def _litert(site: Path, target: Path) -> None:
    package = target / "ai_edge_litert"
    package.mkdir()
    for name in _LITERT:
        shutil.copyfile(site / "ai_edge_litert" / name, package / name)
    _metadata(site, target, "ai_edge_litert")


def _numpy(site: Path, target: Path) -> None:
    def unwanted(folder: str, names: Iterable[str]) -> list[str]:
        ends = (".pyi", ".a", ".c", ".h", ".pxd", ".pyx")
        return [name for name in names if name in _NUMPY_LEFT_OUT or name.endswith(ends) or "_tests." in name]

    shutil.copytree(site / "numpy", target / "numpy", ignore=unwanted)
    shutil.copytree(site / "numpy.libs", target / "numpy.libs")
    _metadata(site, target, "numpy")
    modules = [(path, str(path.relative_to(target))) for path in sorted((target / "numpy").rglob("*.py"))]
    for path in _compiled(modules):
        path.unlink()


def _metadata(site: Path, target: Path, name: str) -> None:
    """So that the agent can tell the version."""
    folder = next(site.glob(f"{name}-*.dist-info"))
    (target / folder.name).mkdir()
    for file in ("METADATA", "WHEEL"):
        shutil.copyfile(folder / file, target / folder.name / file)


def _strip(root: Path) -> None:
    """Take out what only debuggers read, where llvm-strip is installed.

    Not of numpy's files: their segments were moved when the wheel was made, and stripping breaks their alignment.
    """
    tool = shutil.which("llvm-strip")
    if tool is None:
        return
    folders = (root / "lib", root / "py", root / "site/ai_edge_litert")
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and path.read_bytes()[:4] == b"\x7fELF":
            subprocess.run([tool, "--strip-unneeded", str(path)], capture_output=True, check=False, timeout=60)

"""The user's own code: `FILE.py:NAME` or `package.module:NAME`, imported and called."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import InputError


def call_named(target: str) -> Any:
    """Import what `target` names, call it without arguments, and return what it returns.

    Packages are looked for in the current folder, too. What the code prints goes to stderr.

    Raises `InputError` for a file or name that is not there, and for code that fails.
    """
    source, _, name = target.rpartition(":")
    if not source or not name:
        raise InputError(
            f"name a function as FILE.py:NAME or package.module:NAME, such as module.py:make; got {target!r}"
        )
    with _user_code(source, "cannot be imported"):
        imported = _imported(source)
    function = getattr(imported, name, None)
    if not callable(function):
        raise InputError(f"{source} has no function {name!r}{_others(imported)}")
    with _user_code(source, f"fails in {name}()"):
        return function()


def _imported(source: str) -> ModuleType:
    """A file with its own folder on the path, as Python runs it; a module with the current one."""
    path = Path(source)
    if path.suffix != ".py":
        with _on_path(Path.cwd()):
            return importlib.import_module(source)
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")
    spec = importlib.util.spec_from_file_location(f"delivered_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses and pickles look
    with _on_path(path.resolve().parent):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """The path stays: the imported code may import more when it is called."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    yield


@contextlib.contextmanager
def _user_code(source: str, what: str) -> Iterator[None]:
    """What it prints goes to stderr; what it raises becomes one sentence with the line of the user's own file."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # it may raise anything
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise InputError(f"{source} {what}{_line(error, source)}: {type(error).__name__}: {reason}") from error


def _line(error: BaseException, source: str) -> str:
    """The last line of the user's file that the error went through."""
    if isinstance(error, SyntaxError):
        lines = [error.lineno] if _is_file(error.filename, source) else []
    else:
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if _is_file(each.filename, source)]
    return f" at line {lines[-1]}" if lines else ""


def _is_file(name: str | None, source: str) -> bool:
    return name is not None and Path(name).resolve() == Path(source).resolve()


def _others(module: ModuleType) -> str:
    own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    defined = [name for name in own if getattr(vars(module)[name], "__module__", None) == module.__name__]
    return f"; it has: {', '.join(defined)}" if defined else ""

"""Recipes as TOML files: shipped ones by name, a user's own by path."""

from __future__ import annotations

import sys
from pathlib import Path

from ...errors import InputError
from .recipe import JointRecipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SHIPPED = Path(__file__).with_name("recipes")
_SUFFIX = ".toml"


def shipped_recipes() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob(f"*{_SUFFIX}")))


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe, or the file of that path. Raises `InputError` when there is none."""
    if name in shipped_recipes():
        return _SHIPPED / f"{name}{_SUFFIX}"
    if name.endswith(_SUFFIX):
        return Path(name)
    raise InputError(
        f"unknown recipe {name!r}; there are: {', '.join(shipped_recipes())}, or name a {_SUFFIX} file of your own "
        "(`show` prints one to start from)"
    )


def load_recipe(name: str) -> JointRecipe:
    """Raises `InputError` for an unknown name, a missing file, and a mistake in the file."""
    path = recipe_path(name)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from error
    return JointRecipe.from_json(data)

"""Tables of a TOML or JSON file as frozen dataclasses, every mistake in one named by its field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from .errors import InputError

Settings = TypeVar("Settings")


def read_table(kind: type[Settings], table: Mapping[str, Any], what: str) -> Settings:
    """`table` as an instance of the dataclass `kind`, its fields strictly of their types: "12" is not a number.

    Args:
        kind: a dataclass whose fields are numbers, texts, tuples, dictionaries and such dataclasses.
        table: lists are tuples here; tables are the dataclasses within.
        what: the table's name in sentences, such as "recipe 'mine'".

    Raises:
        InputError: the first field that is unknown (with the name closest to it), missing or of another type, and
            whatever the dataclass says about its values.
    """
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(kind, table, what, ())
    try:
        text = json.dumps(table)  # strict JSON takes a list for a tuple, which strict Python does not
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} may hold only numbers, texts, lists and tables: {error}") from error
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        raise _first_problem(what, error.errors(), table) from error


def _refuse_unknown(kind: Any, table: Any, what: str, path: tuple[str, ...]) -> None:
    if not (isinstance(table, Mapping) and is_dataclass(kind)):
        return
    hints = get_type_hints(kind)
    known = [each.name for each in fields(kind)]
    for name, value in table.items():
        if name not in known:
            raise InputError(f"{what} has no field {'.'.join((*path, name))}; {_hint(name, known, hints)}")
        _refuse_unknown(hints[name], value, what, (*path, name))


def _hint(name: str, known: Sequence[str], hints: Mapping[str, Any]) -> str:
    """The field that may be meant, here or in a table within."""
    within = {each.name: f"{outer}.{each.name}" for outer in known if is_dataclass(hints[outer])
              for each in fields(hints[outer])}  # fmt: skip
    meant = {**within, **{each: each for each in known}}
    near = difflib.get_close_matches(name, meant, 1)
    return f"did you mean {meant[near[0]]}?" if near else f"there are: {', '.join(known) or 'none'}"


def _first_problem(what: str, problems: Sequence[Any], table: Any) -> InputError:
    problem = problems[0]
    own = problem.get("ctx", {}).get("error")
    if isinstance(own, InputError):
        return own
    if problem["type"] == "missing":
        return InputError(f"{what} lacks {'.'.join(map(str, problem['loc']))}")
    where = _place(problem["loc"], table)
    # One for each type that the field may have.
    messages = [each["msg"] for each in problems if _place(each["loc"], table) == where]
    said = " or ".join(dict.fromkeys(message[:1].lower() + message[1:] for message in messages))
    return InputError(f"{what}: {where or 'it'} is {problem['input']!r}: {said}")


def _place(path: Sequence[int | str], table: Any) -> str:
    """The part of a path that leads through the table; what follows names a type of several."""
    found = []
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            break
        found.append(str(part))
    return ".".join(found)

"""Guests: implementations of a protocol by name, built in or from installed packages.

A package adds one through an entry point of the protocol's group; nothing in this package changes:

    [options.entry_points]
    edgewright.domains =
        parcels = my_package.parcels:Parcels
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from .errors import InputError

Guest = TypeVar("Guest")


class Guests(Generic[Guest]):
    """The guests of one kind. Nothing is imported before it is needed.

    Args:
        group: of entry points, such as "edgewright.domains".
        kind: what a guest is called in sentences, such as "task domain".
        own: the built-in ones, name to "module:attribute".
    """

    def __init__(self, group: str, kind: str, own: Mapping[str, str] | None = None) -> None:
        self.group, self.kind = group, kind
        self._own = dict(own or {})
        self._added: dict[str, Guest] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The built-in ones first, then those of installed packages by name."""
        return tuple(dict.fromkeys([*self._found(), *self._added]))

    def get(self, name: str) -> Guest:
        """The guest of that name.

        Raises `InputError` for an unknown name, one that two packages provide, and one that cannot be imported.
        """
        if name in self._added:
            return self._added[name]
        where = self._where(name)
        module, _, attribute = where.partition(":")
        try:
            return cast(Guest, getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError) as error:
            raise InputError(f"{self.kind} {name!r} cannot be imported from {where}: {error}") from error

    def add(self, name: str, guest: Guest) -> None:
        """Add a guest for this process; it replaces one that was added before under the same name.

        Raises `InputError` for the name of a built-in guest or of an installed package's.
        """
        if name in (known := self._found()):
            raise InputError(f"{self.kind} {name!r} is there already, from {known[name][0]}; choose another name")
        self._added[name] = guest

    def check(self, name: str) -> None:
        """Raises `InputError` for an unknown name, and one that two packages provide. Nothing is imported."""
        if name not in self._added:
            self._where(name)

    def _where(self, name: str) -> str:
        known = self._found()
        if name not in known:
            near = difflib.get_close_matches(name, self.names, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(f"unknown {self.kind} {name!r}; {hint}there are: {', '.join(self.names) or 'none'}")
        if len(known[name]) > 1:
            raise InputError(f"{self.kind} {name!r} is in {' and in '.join(known[name])}; remove one")
        return known[name][0]

    def _found(self) -> dict[str, list[str]]:
        """Where each guest is defined; several entries if packages compete for its name."""
        known = {name: [where] for name, where in self._own.items()}
        for each in sorted(entry_points(group=self.group), key=lambda entry: entry.name):
            paths = known.setdefault(each.name, [])
            if each.value not in paths:
                paths.append(each.value)
        return known

"""The house reads as CONTRIBUTING.md draws it: imports point down, and the device side stands alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "host/cli": 5,
    "host/evaluation": 5,
    "host/report": 5,
    "host/customize": 4,
    "host/search": 3,
    "host/predictors": 3,
    "host/profiling": 3,
    "host/training": 2,
    "host/assembler": 2,
    "host/tasks": 2,
    "host/devices": 2,
    "host/supernet": 1,
    "host": 1,  # gates, errors, files, workspace
    "converters": 1,
    "device_agent": 0,
}
FILES = sorted(path for room in ("host", "converters", "device_agent") for path in (ROOT / room).rglob("*.py"))


def room_of(parts):
    """The longest known room that a dotted path lies in."""
    for length in (2, 1):
        if "/".join(parts[:length]) in FLOORS:
            return "/".join(parts[:length])
    return None


def from_the_root(name):
    """The folders of a module: `edgewright` is `host/`, but for the two packages that lie beside it."""
    return name[1:] if name[1:2] in (["converters"], ["device_agent"]) else ["host", *name[1:]]


def imported_rooms(path):
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            name = (node.module or "").split(".") if node.module else []
            if node.level:
                base = list(package[: len(package) - node.level + 1])
                yield room_of([*base, *name])
            elif name[:1] == ["edgewright"]:
                yield room_of(from_the_root(name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("edgewright."):
                    yield room_of(from_the_root(alias.name.split(".")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = room_of(path.relative_to(ROOT).parent.parts)
    for room in filter(None, imported_rooms(path)):
        assert FLOORS[room] <= FLOORS[own], f"{path}: {own} (floor {FLOORS[own]}) imports {room} (floor {FLOORS[room]})"


@pytest.mark.parametrize("room", ["converters", "device_agent"])
def test_what_is_below_the_host_does_not_know_it(room):
    for path in (ROOT / room).rglob("*.py"):
        rooms = set(imported_rooms(path))
        assert not any(other and other.startswith("host") for other in rooms), path

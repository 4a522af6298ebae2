"""The code is as CONTRIBUTING.md says: imports point down, never in a circle, and the device side is independent."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = [  # from the bottom; the rooms of one line know nothing of each other
    ["device_agent"],
    ["converters"],
    ["host"],  # errors, files, gates, costs, workspace and the like
    ["host/spaces"],
    ["host/tasks", "host/data", "host/supernet", "host/devices"],
    ["host/profiling", "host/training"],
    ["host/domains"],
    ["host/assembler", "host/pruning"],
    ["host/predictors"],
    ["host/search"],
    ["host/delivery"],
    ["host/customize"],
    ["host/workbench"],
    ["host/report"],
    ["host/evaluation"],
    ["host/testing"],
    ["host/cli"],
    ["door"],  # host/__init__.py, which names what is public and imports it when it is asked for
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path for room in ("host", "converters", "device_agent") for path in (ROOT / room).rglob("*.py"))
MODULES = {path: path.relative_to(ROOT).with_suffix("").parts for path in FILES}
PATHS = {tuple(part for part in parts if part != "__init__"): path for path, parts in MODULES.items()}


def shown(path):
    return str(path.relative_to(ROOT))


def room_of(path):
    """The longest known room that a file lies in."""
    if path == ROOT / "host" / "__init__.py":
        return "door"
    parts = path.relative_to(ROOT).parent.parts
    return next(room for length in (2, 1) if (room := "/".join(parts[:length])) in FLOOR_OF)


def from_the_root(name):
    """The folders of a module: `edgewright` is `host/`, but for the two packages that lie beside it."""
    return name[1:] if name[1:2] in (["converters"], ["device_agent"]) else ["host", *name[1:]]


def imported_files(path):
    """The files of ours that a file imports, wherever in it, also for type checking only."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            name = (node.module or "").split(".") if node.module else []
            if node.level:
                base = [*package[: len(package) - node.level + 1], *name]
            elif name[:1] == ["edgewright"]:
                base = from_the_root(name)
            else:
                continue
            for alias in node.names:
                yield PATHS.get((*base, alias.name)) or PATHS.get(tuple(base))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "edgewright":
                    yield PATHS.get(tuple(from_the_root(alias.name.split("."))))


IMPORTS = {path: {other for other in imported_files(path) if other and other != path} for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_imports_point_down(path):
    own = room_of(path)
    for other in sorted(IMPORTS[path]):
        room = room_of(other)
        assert room == own or FLOOR_OF[room] < FLOOR_OF[own], f"{shown(path)} (floor {FLOOR_OF[own]}) imports {room}"


def circles(arrows):
    """Groups of nodes that reach each other, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(arrows[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def test_no_two_files_import_each_other():
    assert [[shown(path) for path in group] for group in circles(IMPORTS)] == []


def test_no_two_rooms_within_a_room_import_each_other():
    """Folders beside each other; a folder and what lies in it are one subject."""
    arrows = defaultdict(set)
    for path, others in IMPORTS.items():
        for other in others:
            one, two = path.relative_to(ROOT).parent.parts, other.relative_to(ROOT).parent.parts
            shared = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
            if shared is not None:
                arrows["/".join(one[: shared + 1])].add("/".join(two[: shared + 1]))
                arrows["/".join(two[: shared + 1])] |= set()
    assert circles(arrows) == []


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=shown)
def test_no_file_is_too_long(path):
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=shown)
def test_no_room_is_too_full(folder):
    assert len(list(folder.glob("*.py"))) <= 20


def strings_of(path):
    """Texts that a user may read: all but docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and node.body
            and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | bare:
            yield node.lineno, node.value


def flags_of_the_command_line():
    """Every option of every command, such as `--latency-ms`."""
    import typer.main
    from edgewright.cli.app import app

    def walk(command):
        for parameter in command.params:
            yield from (flag for flag in (*parameter.opts, *parameter.secondary_opts) if flag.startswith("--"))
        for each in getattr(command, "commands", {}).values():
            yield from walk(each)

    return set(walk(typer.main.get_command(app))) - {"--help", "--version"}


def test_no_message_below_the_command_line_names_an_option_of_it():
    """Who uses the library has no options; `cli` says which one is meant. What another program takes is no matter."""
    flags = flags_of_the_command_line()
    assert len(flags) > 40
    found = []
    for path in FILES:
        if room_of(path) in ("host/cli", "device_agent"):
            continue
        for line, text in strings_of(path):
            sentence = " " in text.strip()
            named = flags & set(re.findall(r"--[a-z][a-z-]*", text))
            found += [f"{shown(path)}:{line} {flag}" for flag in sorted(named) if sentence]
    assert found == []


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=shown)
def test_what_a_package_exports_is_there(path):
    """`__all__` is sorted, and every name in it can be had."""
    import importlib

    parts = path.relative_to(ROOT).parent.parts
    name = ".".join(["edgewright", *(parts[1:] if parts[0] == "host" else parts)])
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert list(exported) == sorted(set(exported))
    for each in exported:
        assert getattr(module, each) is not None


@pytest.mark.parametrize("room", ["converters", "device_agent"])
def test_what_is_below_the_host_does_not_know_it(room):
    for path in (ROOT / room).rglob("*.py"):
        assert not any(room_of(other).startswith("host") for other in IMPORTS[path]), path


FORKING = {"fork", "forkpty", "multiprocessing", "ProcessPoolExecutor", "DataLoader", "preexec_fn"}


def names_of(path):
    """What a file imports, reaches into and passes by keyword."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword):
            yield node.arg
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "").split(".")[0], *(alias.name for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)


def test_only_the_agent_forks():
    """Elsewhere there may be threads, or CUDA, which a fork does not survive; who needs a process there starts one."""
    found = {shown(path): FORKING & set(names_of(path)) for path in FILES}
    assert {path for path, names in found.items() if names} == {"device_agent/isolation.py"}

"""`import edgewright`: a small public API that imports quickly."""

import subprocess
import sys

import edgewright
import pytest

HEAVY = ("torch", "numpy", "pandas", "paramiko", "rich", "sqlalchemy", "typer", "timm", "plotly")


def test_importing_it_imports_nothing_heavy():
    code = f"import sys, edgewright; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    assert edgewright.__all__ == sorted(edgewright.__all__)
    for name in edgewright.__all__:
        found = getattr(edgewright, name)
        assert name.startswith("__") or name.isupper() or found.__doc__, f"{name} has no docstring"
    assert set(edgewright.__all__) <= set(dir(edgewright))


def test_where_names_are_and_what_type_checkers_see_are_the_same():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(edgewright.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == edgewright._WHERE
    assert {*seen, "__version__"} == set(edgewright.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Workbnech'"):
        edgewright.Workbnech  # noqa: B018


def test_a_name_is_the_same_thing_from_wherever():
    from edgewright.workbench.workbench import Workbench

    assert edgewright.Workbench is Workbench

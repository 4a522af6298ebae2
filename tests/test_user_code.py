"""A user's own function is found and called; every mistake gives one sentence."""

import sys

import pytest
from edgewright.errors import InputError
from edgewright.user_code import call_named

GOOD = """
from dataclasses import dataclass
from helper import WIDTH

@dataclass
class Config:
    width: int = WIDTH

def make():
    print("making")
    from late import HEIGHT
    return Config(), HEIGHT
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, holding a file of the user's and one beside it that it imports."""
    (tmp_path / "module.py").write_text(GOOD)
    (tmp_path / "helper.py").write_text("WIDTH = 3")
    (tmp_path / "late.py").write_text("HEIGHT = 4")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "nets.py").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        sys.modules.pop(name)


@pytest.mark.parametrize("target", ["module.py:make", "{folder}/module.py:make", "package.nets:make"])
def test_a_function_of_a_file_or_of_a_package_is_called(folder, target, capsys):
    config, height = call_named(target.format(folder=folder))
    assert (config.width, height) == (3, 4)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == "making\n", "stdout belongs to the result"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("module.py", "name a function as FILE.py:NAME or package.module:NAME, .*; got 'module.py'"),
        (":make", "name a function as FILE.py:NAME"),
        ("gone.py:make", "there is no file gone.py; check the path"),
        ("nowhere.at_all:make", "nowhere.at_all cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("module.py:mak", "module.py has no function 'mak'; it has: Config, make"),
        ("module.py:WIDTH", "module.py has no function 'WIDTH'"),
    ],
)
def test_what_is_not_there_is_named(folder, target, sentence):
    with pytest.raises(InputError, match=sentence):
        call_named(target)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def make(:", r"user.py cannot be imported at line 1: SyntaxError: "),
        ("import nothing_of_that_name", "user.py cannot be imported at line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)", "user.py cannot be imported at line 1: SystemExit: 3"),
        ("def make():\n  def inner(): return {}['gone']\n  return inner()", r"fails in make\(\) at line 2: KeyError"),
        ("def make(width): pass", r"user.py fails in make\(\): TypeError: make\(\) missing 1 required"),
        ("import json\ndef make(): json.loads('{')", r"fails in make\(\) at line 2: JSONDecodeError: Expecting"),
        ("def make(): raise ValueError", r"fails in make\(\) at line 1: ValueError: no message"),
    ],
)
def test_code_that_fails_is_one_sentence_with_its_line(folder, code, sentence):
    (folder / "user.py").write_text(code)
    with pytest.raises(InputError, match=sentence) as refusal:
        call_named("user.py:make")
    assert "\n" not in str(refusal.value)

"""Guests are found by name. How an installed package brings one is in `test_guest.py`."""

from __future__ import annotations

import json

import pytest
from edgewright.errors import InputError
from edgewright.plugins import Guests


def readers() -> Guests[object]:
    own = {"json": "json:loads", "lost": "json:nothing", "gone": "no_such:thing"}
    return Guests("edgewright.nobody", "reader", own)


def test_one_that_comes_along_is_imported_when_it_is_asked_for() -> None:
    assert readers().get("json") is json.loads
    assert readers().names == ("json", "lost", "gone"), "nothing is imported for their names"


@pytest.mark.parametrize("name", ["lost", "gone"])
def test_one_that_cannot_be_imported_says_from_where(name: str) -> None:
    with pytest.raises(InputError, match=f"reader '{name}' cannot be imported from "):
        readers().get(name)


def test_an_unknown_name_gets_a_hint_and_all_names() -> None:
    with pytest.raises(InputError, match="unknown reader 'jsn'; did you mean 'json'\\? there are: json, lost, gone"):
        readers().get("jsn")
    with pytest.raises(InputError, match="there are: none"):
        Guests("edgewright.nobody", "reader").check("any")


def test_a_program_brings_its_own_and_may_change_it() -> None:
    found = readers()
    first, second = object(), object()
    found.add("mine", first)
    found.check("mine")
    assert found.get("mine") is first and found.names[-1] == "mine"
    found.add("mine", second)
    assert found.get("mine") is second
    with pytest.raises(InputError, match="did you mean 'mine'"):
        found.get("mne")


def test_what_is_there_already_is_not_replaced() -> None:
    with pytest.raises(InputError, match="reader 'json' is there already, from json:loads; choose another name"):
        readers().add("json", object())

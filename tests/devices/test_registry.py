from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from edgewright.devices import LOCAL, Address, Device, Registry, parse_uri
from edgewright.errors import InputError


def test_local_always_exists(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "workspace")
    assert registry.list() == (LOCAL,) and registry.get("local").address == Address("local")
    assert not registry.path.exists(), "looking writes nothing"
    with pytest.raises(InputError, match="always exists"):
        registry.remove("local")


def test_added_devices_stay_and_are_listed_by_name(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "workspace")
    registry.add("nano", "ssh://jet@192.168.1.5:2222")
    registry.add("pixel", "adb://28161FDH2000AB")
    registry.add("bench", "local:")
    again = Registry(tmp_path / "workspace")
    assert [device.name for device in again.list()] == ["local", "bench", "nano", "pixel"]
    assert again.get("nano").address == Address("ssh", host="192.168.1.5", user="jet", port=2222)
    assert again.get("pixel").address == Address("adb", serial="28161FDH2000AB")
    assert again.remove("nano") == Device("nano", "ssh://jet@192.168.1.5:2222")
    assert [device.name for device in registry.list()] == ["local", "bench", "pixel"]
    files = {path.name for path in registry.path.parent.iterdir()}
    assert files == {"devices.json", "devices.lock"}, "no temporary file stays"


def test_what_several_commands_add_at_once_is_all_kept(tmp_path: Path) -> None:
    names = [f"board-{number}" for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: Registry(tmp_path).add(name, f"ssh://jet@{name}"), names))
    assert {device.name for device in Registry(tmp_path).list()} == {"local", *names}


@pytest.mark.parametrize("content", ['{"schema":1,"devices":[]}', '{"schema":1,"devices":{"a":5}}', "[]", "5", "{"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "devices.json").write_text(content)
    with pytest.raises(InputError, match="is not a device registry"):
        Registry(tmp_path).list()


def test_same_device_twice_is_fine_another_one_is_not(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add("nano", "ssh://jet@board")
    assert registry.add("nano", "ssh://jet@board") == registry.get("nano")
    with pytest.raises(InputError, match="edgewright device remove nano"):
        registry.add("nano", "adb://ABC")
    with pytest.raises(InputError, match="local"):
        registry.add("local", "adb://ABC")


def test_unknown_device_names_the_nearest_and_the_command(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    registry.add("pixel7", "adb://ABC")
    with pytest.raises(InputError) as caught:
        registry.get("pixle7")
    assert "did you mean 'pixel7'?" in str(caught.value) and "edgewright device add" in str(caught.value)
    with pytest.raises(InputError, match="known: local, pixel7"):
        registry.remove("something else")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("local:", Address("local")),
        ("ssh://board", Address("ssh", host="board")),
        ("ssh://MyBoard:2222", Address("ssh", host="MyBoard", port=2222)),
        ("ssh://jet@[fe80::1]:22", Address("ssh", host="fe80::1", user="jet", port=22)),
        ("adb://192.168.1.7:5555", Address("adb", serial="192.168.1.7:5555")),
        ("adb://emulator-5554", Address("adb", serial="emulator-5554")),
        ("adb://adb-R5CT (2)._adb-tls-connect._tcp", Address("adb", serial="adb-R5CT (2)._adb-tls-connect._tcp")),
        ("adb://[fe80::1]:5555", Address("adb", serial="[fe80::1]:5555")),
        ("adb://", Address("adb")),
    ],
)
def test_good_uris(uri: str, address: Address) -> None:
    assert parse_uri(uri) == address


@pytest.mark.parametrize(
    "uri",
    [
        "", "local", "local:x", "http://board", "ssh:board", "ssh://", "ssh://jet@", "ssh://jet:secret@board", "ssh://board/path",
        "ssh://board:0", "ssh://board:99999", "ssh://board:x", "ssh://-oProxyCommand=x", "ssh://-l@board", "ssh://a b",
        "ssh://bo\nard", "ssh://[fe80::1", "adb:",
        "adb:// a", "adb://a;b", "adb://$(x)", "adb://../x", "adb://a\nb", "adb://-s", 'adb://"', "ssh://board?x=1",
    ],
)  # fmt: skip
def test_bad_uris_are_refused_with_the_forms_that_work(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputError, match="ssh"):
        Registry(tmp_path).add("device", uri)


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a b", "a/b", "../a", "a;b", "a\n", "x" * 65])
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="device name"):
        Registry(tmp_path).add(name, "local:")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"schema": 9, "devices": {}}', '{"schema": 1, "devices": {"a": "ftp://x"}}']
)
def test_foreign_or_corrupt_registry_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "devices.json").write_text(content)
    with pytest.raises(InputError, match=r"devices\.json is not a device registry"):
        Registry(tmp_path).list()

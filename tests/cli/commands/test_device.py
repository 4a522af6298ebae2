"""`edgewright device` on this machine; on others: `test_device_on_rigs.py`."""

import platform
import sys


def test_devices_are_added_listed_checked_and_removed(edgewright, tmp_path):
    assert edgewright("device", "add", "desk", "local:", "--workspace", tmp_path).exit_code == 0
    listed = edgewright("device", "list", "--workspace", tmp_path, "--json").json["devices"]
    assert {device["name"] for device in listed} == {"local", "desk"}
    checked = edgewright("device", "check", "desk", "--workspace", tmp_path, "--json")
    assert checked.json["report"]["machine"] == platform.machine()
    assert checked.json["pythons"][0]["path"] == sys.executable and checked.json["pythons"][0]["usable_for_agent"]
    assert not any("agent" in need["what"] for need in checked.json["missing"]), "it is deployed when needed"
    assert edgewright("device", "remove", "desk", "--workspace", tmp_path).exit_code == 0
    assert edgewright("device", "check", "desk", "--workspace", tmp_path).exit_code == 2

"""`edgewright agent` on this machine; on others: `test_device_on_rigs.py`."""

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from edgewright.file_lock import is_locked_elsewhere
from edgewright.workspace import Workspace


def test_this_machine_is_deployed_to_like_any_other(edgewright, tmp_path):
    words = ("local", "--workspace", tmp_path)
    deployed = edgewright("agent", "deploy", *words, "--json").json
    assert deployed["deployment"]["argv"] == [sys.executable] and len(deployed["sent"]) == 1
    assert edgewright("agent", "status", *words, "--json").json["current"]
    refused = edgewright("agent", "deploy", *words, "--runtime", "tensorflow")
    assert refused.exit_code == 2 and "leave out --python, --runtime and --bundle" in refused.err
    assert edgewright("agent", "remove", *words, "--json").json["removed"]
    assert not (tmp_path / "agent").exists()


@pytest.mark.parametrize(("command", "function"), [("deploy", "deploy"), ("remove", "remove_agent")])
def test_no_campaign_begins_meanwhile(edgewright, tmp_path, monkeypatch, command, function):
    module = importlib.import_module("edgewright.devices.deployment.deploy")
    work, held = getattr(module, function), []

    def watched(*arguments):
        with ThreadPoolExecutor(1) as other:
            held.append(other.submit(is_locked_elsewhere, Workspace(tmp_path).locks / "local.lock").result())
        return work(*arguments)

    monkeypatch.setattr(module, function, watched)
    assert edgewright("agent", command, "local", "--workspace", tmp_path).exit_code == 0
    assert held == [True]

"""`edgewright agent` on this machine; on others: `test_device_on_rigs.py`."""

import sys


def test_this_machine_is_deployed_to_like_any_other(edgewright, tmp_path):
    words = ("local", "--workspace", tmp_path)
    deployed = edgewright("agent", "deploy", *words, "--json").json
    assert deployed["deployment"]["argv"] == [sys.executable] and len(deployed["sent"]) == 1
    assert edgewright("agent", "status", *words, "--json").json["current"]
    refused = edgewright("agent", "deploy", *words, "--runtime", "tensorflow")
    assert refused.exit_code == 2 and "leave out --python, --runtime and --bundle" in refused.err
    assert edgewright("agent", "remove", *words, "--json").json["removed"]
    assert not (tmp_path / "agent").exists()

"""The first command a user runs."""

import signal
import subprocess
import sys
import time

import pytest


def test_quickstart_ends_with_a_verified_model(edgewright, template, workspace, tmp_path):
    out = tmp_path / "model.tflite"
    answer = edgewright("quickstart", "--subnets", 40, "--out", out, "--workspace", workspace, "--json")
    assert answer.exit_code == 0, answer.err
    keys = {
        "task", "accuracy", "budget", "predicted", "measured", "verified", "parity_max_abs", "model", "size_bytes",
        "customize_s", "profile", "predictor",
    }  # fmt: skip
    found = answer.json
    assert keys <= set(found)
    assert found["verified"] and found["measured"]["latency_ms"] <= found["budget"]["latency_ms"]
    assert found["accuracy"] > 0.9 and found["parity_max_abs"] < 1e-3
    assert found["size_bytes"] == out.stat().st_size
    assert "The model that fits" in answer.err and "only two, even" in answer.err


@pytest.mark.sweep
def test_ctrl_c_keeps_what_is_measured_and_resume_goes_on(edgewright, template, workspace):
    command = [sys.executable, "-m", "edgewright.cli", "profile", "local", "--subnets", "300", "--seed", "7"]
    running = subprocess.Popen([*command, "--workspace", str(workspace)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while measured(workspace) < 20 and time.monotonic() < deadline:
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130 and "records are stored; start again with --resume to go on" in err
    kept = measured(workspace)
    assert 20 <= kept < 300
    told = edgewright("profile", "local", "--resume", "--workspace", workspace, "--json").json["profile"]
    assert told["n_measured"] == told["total"] - kept and told["n_failed"] == 0


def measured(workspace):
    """Records of the campaign with seed 7."""
    from edgewright.profiling.store.store import Store
    from edgewright.workspace import Workspace

    with Store.open(Workspace(workspace).store) as store:
        found = [campaign for campaign in store.campaigns("local") if campaign.options.seed == 7]
        return len(store.positions(found[0])) if found else 0


@pytest.mark.parametrize("uri", ["ssh://jetson@127.0.0.1:1", "adb://8A2X0K"])
def test_a_device_that_is_not_there_says_so(edgewright, template, trained, tmp_path, uri):
    assert edgewright("device", "add", "far", uri, "--workspace", tmp_path).exit_code == 0
    answer = edgewright("device", "check", "far", "--workspace", tmp_path)
    assert answer.exit_code == 4 and "far" in answer.err

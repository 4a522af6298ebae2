"""`edgewright customize` as a user runs it, on this machine."""

import json


def test_customize_delivers_a_verified_model(edgewright, profiled, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    out = tmp_path / "model.tflite"
    answer = edgewright(
        "customize", "--task", "only two even", "--latency-ms", 50, "--memory-mib", 100, "--size-mib", 3,
        "--out", out, "--push", "--workspace", profiled, "--json",
    )  # fmt: skip
    assert answer.exit_code == 0
    found = answer.json
    assert found["task"] == "only two, even" and found["verified"] and found["parity_max_abs"] < 1e-4
    assert found["size_bytes"] == out.stat().st_size <= 3 * 2**20
    interpreter = Interpreter(str(out))
    interpreter.allocate_tensors()
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 1, 56, 56]
    manifest = json.loads((tmp_path / "model.tflite.manifest.json").read_text())
    assert manifest["hashes"]["model_sha256"] and manifest["request"]["limit"] == found["limit"]
    assert (profiled / "agent" / "home" / "artifacts" / "model.tflite").read_bytes() == out.read_bytes()
    assert "accuracy" in answer.err and "parity" in answer.err


def test_a_smaller_budget_gives_a_smaller_model(edgewright, profiled, tmp_path):
    sizes = []
    for bound in (0.4, 0.8):
        out = tmp_path / f"{bound}.tflite"
        answer = edgewright(
            "customize", "--task", "has 3", "--size-mib", bound, "--out", out, "--workspace", profiled, "--json"
        )
        assert answer.json["measured"]["size_mib"] <= bound
        sizes.append(answer.json["size_bytes"])
    assert sizes[0] < sizes[1]


def test_a_device_without_measurements_is_profiled_first(edgewright, template, trained, tmp_path, monkeypatch):
    from edgewright.workbench import campaigns

    monkeypatch.setattr(campaigns, "SHORT_CAMPAIGN", 20)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / f"{trained.digest}.ewt").write_bytes(template.to_bytes())
    answer = edgewright(
        "customize", "--task", "has 3", "--latency-ms", 50, "--out", tmp_path / "m.tflite", "--workspace", tmp_path
    )
    assert answer.exit_code == 0 and "a short campaign of 20 subnets first" in answer.err

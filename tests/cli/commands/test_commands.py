"""Every command as a user runs it, on this machine."""

import json
import platform
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np


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


def test_profile_fit_and_report(edgewright, template, trained, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / f"{trained.digest}.ewt").write_bytes(template.to_bytes())
    told = edgewright("profile", "local", "--subnets", 25, "--workspace", tmp_path, "--json")
    assert told.exit_code == 0 and told.json["profile"]["n_failed"] == 0
    again = edgewright("profile", "local", "--resume", "--workspace", tmp_path, "--json")
    assert again.json["profile"]["n_measured"] == 0 and again.json["profile"]["total"] == told.json["profile"]["total"]
    fitted = edgewright("predictor", "fit", "local", "--workspace", tmp_path, "--json")
    assert json.loads(Path(fitted.json["predictors"]).read_text())["latency"]
    report = edgewright("predictor", "report", "local", "--workspace", tmp_path, "--json")
    assert {score["features"] for score in report.json["scores"]} == {"paper", "products", "steps"}
    assert report.json["noise_floor"]["latency"] > 0 and "noise floor" in report.err


def test_a_device_that_drifted_is_watched_more_closely(edgewright, profiled, tmp_path):
    """The last campaign of a device that warmed up: a per cent slower with every record."""
    shutil.copytree(profiled, tmp_path / "w")
    place = ("--workspace", tmp_path / "w", "--json")
    told = edgewright("profile", "local", "--subnets", 80, "--sentinel-every", 9, *place)
    assert told.json["profile"]["sentinel_every"] == 9
    with sqlite3.connect(tmp_path / "w" / "measurements.sqlite") as store:
        ask = "SELECT rowid, samples_ms FROM records WHERE campaign_id = ? ORDER BY started_at"
        rows = store.execute(ask, [told.json["campaign"]])
        for number, (identity, samples) in enumerate(rows.fetchall()):
            slower = json.dumps([sample * (1 + number / 100) for sample in json.loads(samples)])
            store.execute(
                "UPDATE records SET samples_ms = ?, latency_ms = latency_ms * ? WHERE rowid = ?",
                [slower, 1 + number / 100, identity],
            )
    after = edgewright("profile", "local", "--subnets", 4, *place)
    assert after.json["profile"]["sentinel_every"] < 20 and "as the last campaign's drift asks for" in after.err


def test_measure_takes_any_tflite_file(edgewright, workspace, template, trained, tmp_path):
    path = tmp_path / "any.tflite"
    path.write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    answer = edgewright("measure", path, "local", "--workspace", workspace, "--json")
    assert answer.exit_code == 0
    assert answer.json["median_ms"] == np.median(answer.json["samples_ms"]) and answer.json["memory_mib"] > 0


def test_push_leaves_the_model_and_its_hash(edgewright, workspace, tmp_path):
    import hashlib

    path = tmp_path / "some.tflite"
    path.write_bytes(b"any bytes")
    answer = edgewright("push", path, "local", "--workspace", workspace, "--json")
    assert answer.json["sha256"] == hashlib.sha256(b"any bytes").hexdigest()
    assert Path(answer.json["path"]).read_bytes() == b"any bytes"


def test_devices_are_added_listed_checked_and_removed(edgewright, tmp_path):
    assert edgewright("device", "add", "desk", "local:", "--workspace", tmp_path).exit_code == 0
    listed = edgewright("device", "list", "--workspace", tmp_path, "--json").json["devices"]
    assert {device["name"] for device in listed} == {"local", "desk"}
    checked = edgewright("device", "check", "desk", "--workspace", tmp_path, "--json")
    assert checked.json["report"]["machine"] == platform.machine()
    assert checked.json["pythons"][0]["path"] == sys.executable and checked.json["pythons"][0]["usable_for_agent"]
    assert not any("agent" in need["what"] for need in checked.json["missing"]), "its agent comes by itself"
    assert edgewright("device", "remove", "desk", "--workspace", tmp_path).exit_code == 0
    assert edgewright("device", "check", "desk", "--workspace", tmp_path).exit_code == 2


def test_this_machine_is_deployed_to_like_any_other(edgewright, tmp_path):
    words = ("local", "--workspace", tmp_path)
    deployed = edgewright("agent", "deploy", *words, "--json").json
    assert deployed["deployment"]["argv"] == [sys.executable] and len(deployed["sent"]) == 1
    assert edgewright("agent", "status", *words, "--json").json["current"]
    refused = edgewright("agent", "deploy", *words, "--runtime", "tensorflow")
    assert refused.exit_code == 2 and "leave out --python, --runtime and --bundle" in refused.err
    assert edgewright("agent", "remove", *words, "--json").json["removed"]
    assert not (tmp_path / "agent").exists()


def test_evaluate_covers_all_sixty_tasks(edgewright, trained):
    answer = edgewright("supernet", "evaluate", "--images", 4, "--json")
    assert len({row["task"] for row in answer.json["tasks"]}) == 60
    assert all(row["ratio"] <= row["limit"] for row in answer.json["tasks"])


def test_report_writes_one_page(edgewright, profiled, tmp_path):
    out = tmp_path / "page.html"
    answer = edgewright("report", profiled, "--out", out, "--json")
    assert answer.exit_code == 0 and answer.json["device"] == "local" and answer.json["files"] == [str(out)]
    assert out.read_text().count('class="chart"') >= 4


def test_report_needs_measurements(edgewright, profiled, tmp_path):
    empty = edgewright("report", tmp_path)
    assert empty.exit_code == 2 and "is not a workspace with measurements; profile a device first" in empty.err
    nobody = edgewright("report", profiled, "--device", "phone")
    assert nobody.exit_code == 2 and "has no records of phone with this supernet" in nobody.err
    form = edgewright("report", profiled, "--format", "pdf")
    assert form.exit_code == 2 and "--format must be one of html, png, svg, got 'pdf'" in form.err


def test_pareto_writes_its_points(edgewright, profiled, tmp_path):
    out = tmp_path / "points.csv"
    answer = edgewright("pareto", "--task", "has 3", "--out", out, "--workspace", profiled, "--json")
    assert answer.exit_code == 0 and answer.json["task"] == "has, 3"
    points = answer.json["points"]
    assert len(points) > 5 and out.read_text().count("\n") == len(points) + 1
    for point in points:
        costs = [point[name] for name in ("latency_ms", "memory_mib", "size_mib")]
        assert not any(
            other["score"] > point["score"] and all(other[n] <= c for n, c in zip(list(point)[2:5], costs, strict=True))
            for other in points
        )
    wrong = edgewright("pareto", "--task", "has 3", "--out", tmp_path / "points.txt", "--workspace", profiled)
    assert wrong.exit_code == 2 and "--out must end in .csv" in wrong.err

"""`edgewright profile` on this machine, and what `predictor` makes of it. Several devices are a test of their own."""

import json
import shutil
import sqlite3
from pathlib import Path


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
    assert after.json["profile"]["sentinel_every"] < 20 and "because of the drift in the last campaign" in after.err

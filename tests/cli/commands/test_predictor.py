"""`edgewright predictor evaluate`: other people's measurements in a CSV file. Fitting is in `test_profile.py`."""

import json

import numpy as np
import pytest


def table(n=40, seed=0):
    """Widths of three layers (n, 3), and what such a network takes (n,) on a device that slows down by a fifth."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(8, 65, (n, 3))
    latencies = (2.0 + 0.01 * widths.sum(1) + 0.001 * widths[:, 0] * widths[:, 1]) * np.exp(rng.normal(0, 0.01, n))
    latencies[n // 2 :] *= 1.2
    return widths, latencies


def write(path, features, latencies):
    rows = [",".join(map(str, [*row, latency])) for row, latency in zip(features, latencies, strict=True)]
    path.write_text("\n".join(["a,b,c,ms", *rows]) + "\n")
    return path


def test_a_csv_file_is_judged(edgewright, tmp_path):
    path = write(tmp_path / "t.csv", *table(120))
    words = ("predictor", "evaluate", "--table", path, "--features", "a,b,c", "--latency", "ms")
    answer = edgewright(*words, "--json")
    assert {
        "mape", "within_5", "within_10", "spearman", "coverage_90", "noise_floor", "drift_lag1", "learning_curve"
    } <= set(answer.json)  # fmt: skip
    assert answer.json["noise_floor"] is None and answer.json["drift_lag1"] > 0.3
    assert "measure a sentinel every few rows" in answer.err and "without a drift term" in answer.err
    plain = edgewright(*words, "--order", "none", "--json").json
    assert plain["drift_lag1"] is None and plain["mape"] == pytest.approx(answer.json["plain_mape"])
    assert json.dumps(plain)


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        (lambda text: text, ["--features", "a,x"], "has no column 'x'; it has a, b, c, ms"),
        (lambda text: text, ["--features", ","], "name at least one feature"),
        (lambda text: text, ["--features", "a,a"], "column 'a' is named twice"),
        (lambda text: text, ["--features", "a,ms"], "column 'ms' is named twice"),
        (lambda text: text, ["--features", "a", "--order", "when"], "has no column 'when'"),
        (lambda text: "".join(text.splitlines(True)[:20]), ["--features", "a"], "at least 25 measured rows, got 19"),
        (lambda text: text + "1,2,3,-4\n", ["--features", "a"], "latencies must be > 0, but row 40 has -4"),
        (lambda text: text + "1,2,3,fast\n", ["--features", "a"], "row 40 of column 'ms' is no number: 'fast'"),
        (lambda text: text + "1,2,3,\n", ["--features", "a"], "row 40 of column 'ms' is no number"),
        (lambda text: text + "inf,2,3,4\n", ["--features", "a"], "a must be finite, but row 40 has inf"),
        (lambda text: "", ["--features", "a"], "is no CSV table with a header"),
        (None, ["--features", "a"], "cannot read"),
    ],
)
def test_a_table_that_cannot_be_judged(edgewright, tmp_path, change, words, sentence):
    path = write(tmp_path / "t.csv", *table())
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    answer = edgewright("predictor", "evaluate", "--table", path, "--latency", "ms", *words)
    assert answer.exit_code == 2 and sentence in answer.err and answer.err.count("\n") == 1

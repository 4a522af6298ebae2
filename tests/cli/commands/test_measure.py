"""`edgewright measure`, with our agent. Google's tool is in `test_backend.py`."""

import numpy as np


def test_measure_takes_any_tflite_file(edgewright, workspace, template, trained, tmp_path):
    path = tmp_path / "any.tflite"
    path.write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    answer = edgewright("measure", path, "local", "--workspace", workspace, "--json")
    assert answer.exit_code == 0
    assert answer.json["median_ms"] == np.median(answer.json["samples_ms"]) and answer.json["memory_mib"] > 0

"""`edgewright push`: a file and its hash arrive."""

from pathlib import Path


def test_push_leaves_the_model_and_its_hash(edgewright, workspace, tmp_path):
    import hashlib

    path = tmp_path / "some.tflite"
    path.write_bytes(b"any bytes")
    answer = edgewright("push", path, "local", "--workspace", workspace, "--json")
    assert answer.json["sha256"] == hashlib.sha256(b"any bytes").hexdigest()
    assert Path(answer.json["path"]).read_bytes() == b"any bytes"

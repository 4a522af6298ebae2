"""The sentence and the exit code a user gets for bad input."""

import shutil
import subprocess
import sys

import pytest
from edgewright.shipped import shipped_supernet


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("", "the task is empty; name its attributes, such as 'only four, even'"),
        ("only two, evn", "unknown attribute 'evn'; did you mean 'even'"),
        ("only two", "the task (only two) is outside the space: it needs exactly 1 of digit"),
        ("has, 3, 4", "it needs exactly 1 of digit"),
    ],
)
def test_a_task_that_cannot_be(edgewright, workspace, task, sentence):
    answer = edgewright("customize", "--task", task, "--latency-ms", 1, "--workspace", workspace)
    assert answer.exit_code == 2 and sentence in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--latency-ms", "nan", "budget latency_ms must be a finite number above 0, got nan"),
        ("--latency-ms", "0", "budget latency_ms must be a finite number above 0, got 0.0"),
        ("--memory-mib", "-4", "budget memory_mib must be a finite number above 0, got -4.0"),
        ("--latency-ms", "inf", "must be a finite number above 0, got inf"),
        ("--latency-ms", "0.5s", "takes a plain number of milliseconds, got '0.5s'; did you mean --latency-ms 500?"),
        ("--memory-mib", "1 GiB", "takes a plain number of MiB, got '1 GiB'; did you mean --memory-mib 1024?"),
        ("--confidence", "1", "--confidence must lie within 0.5 and 1, such as 0.95; got 1"),
        ("--confidence", "nan", "--confidence must lie within 0.5 and 1, such as 0.95; got nan"),
        ("--size-mib", "small", "--size-mib takes a plain number of MiB, got 'small'"),
    ],
)
def test_a_budget_that_cannot_be(edgewright, workspace, option, value, sentence):
    answer = edgewright("customize", "--task", "has 3", option, value, "--workspace", workspace)
    assert answer.exit_code == 2 and sentence in answer.err


def test_no_budget_at_all(edgewright, workspace):
    answer = edgewright("customize", "--task", "has 3", "--workspace", workspace)
    assert answer.exit_code == 2 and "at least one of --latency-ms, --memory-mib, --size-mib" in answer.err


def test_an_unknown_device(edgewright, workspace):
    answer = edgewright("customize", "--task", "has 3", "--latency-ms", 1, "--device", "locl", "--workspace", workspace)
    assert answer.exit_code == 2 and "locl" in answer.err and "local" in answer.err


def test_a_name_that_no_device_keeps_is_refused_before_anything_slow(edgewright, workspace, tmp_path):
    out = tmp_path / "model v2.tflite"
    arguments = ("--task", "has 3", "--latency-ms", 5, "--push", "--out", out, "--workspace", workspace)
    answer = edgewright("customize", *arguments)
    assert answer.exit_code == 2 and "'model v2.tflite'; rename the file" in answer.err and not out.exists()
    out.write_bytes(b"a model")
    assert edgewright("push", out, "local", "--workspace", workspace).exit_code == 2


def test_an_impossible_budget_ends_with_the_fastest_and_smallest_seen(edgewright, profiled, tmp_path):
    out = tmp_path / "model.tflite"
    arguments = ("customize", "--task", "has 3", "--latency-ms", 0.0001, "--out", out, "--workspace", profiled)
    answer = edgewright(*arguments)
    assert answer.exit_code == 3
    assert "no subnet for 'has, 3' meets 0.0001 ms on 'local'; the fastest seen there took 0." in answer.err
    assert "the smallest" in answer.err and "MiB" in answer.err
    assert not out.exists()
    assert edgewright(*arguments, "--json").json["exit_code"] == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["coco"], "unknown task domain 'coco'; there are: numvqa, attrod"),
        (["numvqa", "--method", "luck"], "unknown method 'luck'; there are: edgewright, retrain, retrain-equal, prune"),
        (["attrod", "--supernet", "numvqa-resnet"], "numvqa-resnet was trained for numvqa: edgewright evaluate numvqa"),
        (["numvqa", "--data", "coco"], "NumVQA takes no --data folder, got coco: its images are made of digits"),
    ],
)
def test_an_evaluation_that_cannot_be(edgewright, tmp_path, words, sentence):
    space, *options = words
    answer = edgewright("evaluate", space, tmp_path / "out", *options, "--workspace", tmp_path)
    assert answer.exit_code == 2 and sentence in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_supernet(edgewright, workspace, tmp_path):
    answer = edgewright("profile", "local", "--supernet", tmp_path, "--workspace", workspace)
    assert answer.exit_code == 2 and f"no supernet in {tmp_path} (supernet.json is missing)" in answer.err


@pytest.mark.parametrize("name", ["supernet.json", "backbone.safetensors", "assembler.safetensors"])
@pytest.mark.parametrize("harm", ["cut", "foreign"])
def test_a_damaged_supernet(edgewright, workspace, tmp_path, name, harm):
    folder = tmp_path / "supernet"
    shutil.copytree(shipped_supernet(), folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2] if harm == "cut" else b"PK\x03\x04 not ours")
    answer = edgewright("profile", "local", "--supernet", folder, "--workspace", workspace)
    assert answer.exit_code == 2 and str(folder / name) in answer.err and "damaged" in answer.err


def test_weights_of_another_supernet_are_noticed(edgewright, workspace, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "supernet"
    shutil.copytree(shipped_supernet(), folder)
    weights = load_file(folder / "backbone.safetensors")
    weights["conv1.weight"] = weights["conv1.weight"] + 1
    save_file(weights, folder / "backbone.safetensors")
    answer = edgewright("profile", "local", "--supernet", folder, "--workspace", workspace)
    assert answer.exit_code == 2 and "the weights do not match their digest" in answer.err


def test_a_damaged_template(edgewright, trained, template, tmp_path):
    path = tmp_path / "templates" / f"{trained.digest}.ewt"
    path.parent.mkdir()
    content = bytearray(template.to_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = edgewright("profile", "local", "--workspace", tmp_path)
    assert answer.exit_code == 2 and f"template {path} cannot be used" in answer.err and "remove the file" in answer.err


def test_a_damaged_store(edgewright, template, trained, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / f"{trained.digest}.ewt").write_bytes(template.to_bytes())
    (tmp_path / "measurements.sqlite").write_bytes(b"not a database, and long enough to be read as one" * 40)
    answer = edgewright("profile", "local", "--workspace", tmp_path)
    assert answer.exit_code == 2 and "measurements.sqlite is not a readable store" in answer.err


def test_an_empty_model_file(edgewright, workspace, tmp_path):
    path = tmp_path / "model.tflite"
    path.touch()
    for command in ("measure", "push"):
        answer = edgewright(command, path, "local", "--workspace", workspace)
        assert answer.exit_code == 2 and f"model {path} is empty" in answer.err


@pytest.mark.parametrize("content", [b"garbage" * 100, b"\x1c\x00\x00\x00TFL3" + bytes(200)])
def test_a_model_file_that_is_none(edgewright, workspace, tmp_path, content):
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    answer = edgewright("measure", path, "local", "--workspace", workspace)
    assert answer.exit_code == 5 and f"{path} could not be measured on 'local'" in answer.err


def test_a_model_file_that_is_not_there(edgewright, workspace, tmp_path):
    answer = edgewright("measure", tmp_path / "no.tflite", "local", "--workspace", workspace)
    assert answer.exit_code == 2 and "cannot read model" in answer.err


def test_a_workspace_that_cannot_be_written(edgewright, tmp_path):
    (tmp_path / "file").write_text("in the way")
    answer = edgewright("device", "add", "desk", "local:", "--workspace", tmp_path / "file" / "ws")
    assert answer.exit_code == 2 and "cannot write" in answer.err and "choose another folder" in answer.err


def test_an_output_folder_that_cannot_be_written(edgewright, profiled, tmp_path):
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "model.tflite"
    answer = edgewright("customize", "--task", "has 3", "--latency-ms", 50, "--out", out, "--workspace", profiled)
    assert answer.exit_code == 2 and f"cannot write {out.parent}" in answer.err


def test_a_full_disk_leaves_nothing_behind(edgewright, profiled, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True)
    if mount.returncode:
        pytest.skip("a full disk needs a small tmpfs, and mounting one needs root; run the tests as root for this one")
    try:
        out = small / "model.tflite"
        answer = edgewright("customize", "--task", "has 3", "--latency-ms", 50, "--out", out, "--workspace", profiled)
        assert answer.exit_code == 2 and "No space left on device; free some space" in answer.err
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_help_loads_nothing_heavy():
    code = "import sys; sys.argv = ['edgewright', '--help']\nfrom edgewright.cli.app import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint([m for m in ('torch', 'numpy', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "customize" in done.stdout and done.stdout.splitlines()[-1] == "[]"

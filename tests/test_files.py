import os
import signal
import subprocess
import sys

import pytest
from edgewright.errors import StorageError
from edgewright.files import atomic_path, write_atomic
from edgewright.workspace import Workspace


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "file"
    write_atomic(target, b"first")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half of the sec")
        raise RuntimeError
    assert target.read_bytes() == b"first" and list(target.parent.iterdir()) == [target]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    target = tmp_path / "file"
    write_atomic(target, b"first")
    code = (
        "import os, signal, sys, pathlib\n"
        "from edgewright.files import atomic_path\n"
        "with atomic_path(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'second')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(target)])
    assert done.returncode == -signal.SIGKILL and target.read_bytes() == b"first"


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .* choose another folder"):
        write_atomic(tmp_path / "file" / "below" / "x", b"")


def test_where_the_workspace_is(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGEWRIGHT_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert Workspace.find().root == tmp_path / "edgewright-workspace"
    monkeypatch.setenv("EDGEWRIGHT_WORKSPACE", str(tmp_path / "elsewhere"))
    assert Workspace.find().root == tmp_path / "elsewhere"
    assert Workspace.find(tmp_path / "given").root == tmp_path / "given"
    assert os.listdir(tmp_path) == []

"""Files there and back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ...errors import DeviceError
from .remote import Remote, read_all, read_exactly


class Files:
    @pytest.mark.parametrize("size", [0, 1, 32768, 1_000_003])
    def test_files_go_there_and_back(self, remote: Remote, tmp_path: Path, size: int) -> None:
        data = os.urandom(size)
        (tmp_path / "source").write_bytes(data)
        remote.transport.push(tmp_path / "source", f"{remote.folder}/file")
        assert remote.content(f"{remote.folder}/file") == data
        remote.transport.pull(f"{remote.folder}/file", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == data
        assert remote.names() == ["file"], "no temporary file stays"

    @pytest.mark.parametrize(
        "name",
        ["two words", "it's", '"', "$(touch pwned)", "; touch pwned", "`x`", "new\nline", "-rf", "ü☃", "*", "\\"],
    )
    def test_any_file_name_is_only_a_name(self, remote: Remote, tmp_path: Path, name: str) -> None:
        (tmp_path / "source").write_bytes(b"data")
        target = f"{remote.folder}/{name}"
        remote.transport.push(tmp_path / "source", target)
        remote.transport.pull(target, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"data"
        assert remote.names() == [name]
        assert remote.transport.run(["rm", target], 30).returncode == 0 and remote.names() == []

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o700, 0o755, 0o400])
    def test_a_pushed_file_has_the_mode_asked_for(self, remote: Remote, tmp_path: Path, mode: int) -> None:
        (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
        remote.transport.push(tmp_path / "source", f"{remote.folder}/file", mode)
        stated = remote.transport.run(["stat", "-c", "%a", f"{remote.folder}/file"], 30)
        assert stated.stdout.decode().strip() == f"{mode:o}"

    def test_a_pushed_file_is_private_by_default(self, remote: Remote, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        remote.transport.push(tmp_path / "source", f"{remote.folder}/file")
        assert remote.transport.run(["stat", "-c", "%a", f"{remote.folder}/file"], 30).stdout == b"600\n"

    def test_push_replaces_a_file_as_a_whole(self, remote: Remote, tmp_path: Path) -> None:
        """A reader that has the old file open continues to read the old one."""
        target = f"{remote.folder}/file"
        (tmp_path / "old").write_bytes(b"old" * 1000)
        (tmp_path / "new").write_bytes(b"new")
        remote.transport.push(tmp_path / "old", target, 0o400)
        reader = remote.transport.open_stream(["sh", "-c", 'exec 3< "$1"; echo open; read x; cat <&3', "sh", target])
        assert read_exactly(reader, 5) == b"open\n"
        remote.transport.push(tmp_path / "new", target)
        reader.write(b"go\n", 30)
        assert read_all(reader) == b"old" * 1000
        reader.close(30)
        assert remote.content(target) == b"new" and remote.names() == ["file"]

    def test_push_into_a_folder_that_is_not_there(self, remote: Remote, tmp_path: Path) -> None:
        if remote.starts_here:
            pytest.skip("this machine's transport makes the folder")
        (tmp_path / "source").write_bytes(b"x")
        with pytest.raises(DeviceError) as caught:
            remote.transport.push(tmp_path / "source", f"{remote.folder}/no such/file")
        assert f"{remote.folder}/no such" in str(caught.value) and "the-device" in str(caught.value)
        assert remote.names() == []

    def test_push_onto_a_folder_leaves_it_as_it_is(self, remote: Remote, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        assert remote.transport.run(["mkdir", f"{remote.folder}/taken"], 30).returncode == 0
        with pytest.raises((DeviceError, OSError)) as caught:
            remote.transport.push(tmp_path / "source", f"{remote.folder}/taken")
        assert "taken" in str(caught.value)
        assert remote.names() == ["taken"] and remote.sh('ls -A "$1"', f"{remote.folder}/taken").stdout == b""

    def test_push_of_a_file_that_is_not_there_leaves_the_old_one(self, remote: Remote, tmp_path: Path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        remote.transport.push(tmp_path / "source", f"{remote.folder}/file")
        with pytest.raises(DeviceError, match="absent"):
            remote.transport.push(tmp_path / "absent", f"{remote.folder}/file")
        assert remote.content(f"{remote.folder}/file") == b"x" and remote.names() == ["file"]

    @pytest.mark.parametrize("what", ["missing", "."])
    def test_pull_of_what_is_no_file_leaves_the_old_one(self, remote: Remote, tmp_path: Path, what: str) -> None:
        back = tmp_path / "local" / "back"
        back.parent.mkdir()
        back.write_bytes(b"old")
        with pytest.raises(DeviceError) as caught:
            remote.transport.pull(f"{remote.folder}/{what}", back)
        assert f"{remote.folder}/{what}".rstrip("/.") in str(caught.value)
        assert back.read_bytes() == b"old"
        assert list(back.parent.iterdir()) == [back], "no temporary file stays"

    # Streams

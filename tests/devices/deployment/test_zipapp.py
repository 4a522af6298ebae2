from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import edgewright.device_agent as device_agent
import numpy
from edgewright.devices.deployment.zipapp import build_agent_zipapp, cached_agent


def test_zipapp_holds_the_package_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(build_agent_zipapp())).namelist()
    folder = Path(str(device_agent.__file__)).parent
    sources = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py")]
    assert sorted(names) == sorted(["__main__.py", *(f"device_agent/{name}" for name in sources)])


def test_same_bytes_from_touched_sources(tmp_path: Path) -> None:
    """Equal content in another process, another time zone and with another umask gives equal bytes."""
    code = (
        "import sys; from edgewright.devices.deployment.zipapp import build_agent_zipapp as build; "
        "sys.stdout.buffer.write(build())"
    )
    argv = ["sh", "-c", 'umask 077; exec "$0" -c "$1"', sys.executable, code]
    done = subprocess.run(argv, env={**os.environ, "TZ": "Asia/Tokyo"}, capture_output=True, timeout=60, check=True)
    assert done.stdout == build_agent_zipapp()


def test_cache_is_private_and_mends_itself(tmp_path: Path) -> None:
    path = cached_agent(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    stamp = path.stat().st_mtime_ns
    assert cached_agent(tmp_path) == path and path.stat().st_mtime_ns == stamp
    path.write_bytes(b"altered")
    assert cached_agent(tmp_path).read_bytes() == build_agent_zipapp()


def test_runs_outside_the_repository_with_only_numpy_and_a_runtime(tmp_path: Path) -> None:
    """`-S` leaves site-packages and with them the editable install out; only the two packages are put in reach."""
    site = tmp_path / "site"
    site.mkdir()
    packages = Path(numpy.__file__).parents[1]
    for name in ("numpy", "numpy.libs", "ai_edge_litert", "google", "flatbuffers"):
        if (packages / name).exists():
            (site / name).symlink_to(packages / name)
    agent = cached_agent(tmp_path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site)}
    argv = [sys.executable, "-S", str(agent), "--home", str(tmp_path / "home")]
    from edgewright.device_agent.frames import encode_frame, read_frame

    hello = encode_frame({"op": "hello", "id": 1, "protocol": 1, "heartbeat_s": 1, "silence_s": 30})
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment, input=hello, capture_output=True, timeout=60, check=False
    )
    reply = read_frame(io.BytesIO(done.stdout)).header
    assert done.returncode == 0, done.stderr.decode()
    assert reply["ok"]["runtime"] == "ai-edge-litert"
    environment.pop("PYTHONPATH")
    bare = subprocess.run(argv, cwd=tmp_path, env=environment, input=b"", capture_output=True, timeout=60, check=False)
    assert bare.returncode != 0 and b"numpy" in bare.stderr

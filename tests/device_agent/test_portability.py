"""The agent runs on whatever Python a device has: 3.8 syntax, and few imports."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import edgewright.device_agent as device_agent
import pytest
from edgewright.device_agent import AGENT_VERSION
from edgewright.version import __version__

SOURCES = sorted(Path(str(device_agent.__file__)).parent.rglob("*.py"))
ALLOWED = {"numpy", "ai_edge_litert", "tflite_runtime"}


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_source_is_python_3_8_and_imports_little(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    assert imported(tree) <= set(sys.stdlib_module_names) | ALLOWED


def test_starts_from_a_copied_folder(tmp_path: Path) -> None:
    shutil.copytree(SOURCES[0].parent, tmp_path / "device_agent", ignore=shutil.ignore_patterns("__pycache__"))
    argv = [sys.executable, "-m", "device_agent", "--home", str(tmp_path / "home")]
    done = subprocess.run(argv, cwd=tmp_path, input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout == b""
    assert b"the other side closed the stream" in done.stderr
    assert (tmp_path / "home" / "blobs").is_dir()


def test_starts_from_the_package(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "edgewright.device_agent", "--home", str(tmp_path / "home")]
    done = subprocess.run(argv, cwd=tmp_path, input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout == b""


def test_agent_and_host_have_one_version() -> None:
    assert AGENT_VERSION == __version__


def test_facts_say_none_for_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a device that shows nothing: no zero takes the place of a reading."""
    from edgewright.device_agent import facts

    for name in ("_CPUS", "_THERMAL", "_POWER", "_DEVICE_TREE"):
        monkeypatch.setattr(facts, name, tmp_path / "absent")
    readings = facts.health()
    assert readings["freq_khz"] is None and readings["temperatures_c"] is None
    assert readings["battery_percent"] is None and readings["battery_status"] is None
    known = facts.facts()
    assert known["max_freq_khz"] is None and known["governor"] is None


def test_facts_read_what_a_phone_shows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from edgewright.device_agent import facts

    shown = {
        "cpu/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
        "cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
        "thermal/thermal_zone0/temp": "41250\n",
        "thermal/thermal_zone0/type": "cpu-big\n",
        "power/usb/type": "USB\n",
        "power/battery/type": "Battery\n",
        "power/battery/capacity": "0\n",
        "power/battery/status": "Discharging\n",
        "tree/model": "A Board\0",
    }
    for name, text in shown.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, folder in (("_CPUS", "cpu"), ("_THERMAL", "thermal"), ("_POWER", "power"), ("_DEVICE_TREE", "tree")):
        monkeypatch.setattr(facts, name, tmp_path / folder)
    readings = facts.health()
    assert readings["freq_khz"][0] == 1_800_000 and set(readings["freq_khz"][1:]) <= {None}
    assert readings["temperatures_c"] == {"0:cpu-big": 41.25}
    assert readings["battery_percent"] == 0 and readings["battery_status"] == "Discharging"
    known = facts.facts()
    assert known["governor"] == "schedutil" and known["model"] == "A Board"


def test_device_id_is_stable_and_gives_nothing_away() -> None:
    from edgewright.device_agent import facts

    first, second = facts.facts(), facts.facts()
    assert first["device_id"] == second["device_id"] and len(first["device_id"]) == 16
    machine_id = Path("/etc/machine-id")
    if machine_id.is_file():
        assert first["device_id"] not in machine_id.read_text()

"""Which Pythons a device has: real ones of this machine and the rigs, and real environments whose runtimes break."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from edgewright.devices.connect import connect
from edgewright.devices.local import LocalTransport
from edgewright.devices.probe import pythons as module
from edgewright.devices.probe.pythons import DevicePython, find_pythons
from edgewright.devices.registry import Device
from edgewright.devices.transport import Transport
from edgewright.errors import DeviceError, InputError

WELL = "class Interpreter: pass\n"
GLIBC = 'raise ImportError("/lib/libm.so.6: version `GLIBC_2.34\' not found (required by /x/libLiteRt.so)")\n'
NUMPY = {"numpy/__init__.py": "__version__ = '1.24.4'\nclass ndarray: pass\n"}


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalTransport:
    """This machine with nothing but the system's programs on its PATH."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return LocalTransport(tmp_path / "agent")


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., str]:
    """Makes a real virtual environment with these modules in it; returns its Python."""

    def make(files: dict[str, str], name: str = "venv") -> str:
        folder = tmp_path / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        (site,) = folder.glob("lib/python3*/site-packages")
        for path, content in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(content)
        return str(folder / "bin" / "python")

    return make


def only(transport: Transport, path: str) -> DevicePython:
    return next(python for python in find_pythons(transport, [path]) if python.asked == path)


def test_this_python_has_a_runtime_that_really_loads(local: LocalTransport) -> None:
    python = only(local, sys.executable)
    assert python.version == sys.version_info[:3] and python.numpy == metadata.version("numpy")
    assert python.runtimes["ai-edge-litert"] == metadata.version("ai-edge-litert")
    assert python.runtimes["torch"] == metadata.version("torch")
    assert python.glibc == str(os.confstr("CS_GNU_LIBC_VERSION")).removeprefix("glibc ")
    assert python.usable_for_agent and python.why_not() == "" and python.failures == {}
    assert python.environment == "venv" and python.tflite_runtimes == ("ai-edge-litert",)
    assert "not for the agent" not in python.summary() and "ai-edge-litert" in python.summary()
    json.dumps(python.to_json())


def test_a_virtual_environment_is_not_taken_for_the_python_it_was_made_of(
    local: LocalTransport, environment: Callable[..., str]
) -> None:
    one, two = environment(NUMPY, "one"), environment({}, "two")
    link = Path(one).with_name("another-name")
    link.symlink_to(one)
    found = find_pythons(local, [one, str(link), two])
    assert [python.path for python in found][:2] == [one, two]
    assert found[0].numpy == "1.24.4" and found[1].numpy is None
    assert all(python.path.startswith("/usr/bin/python3") for python in found[2:])


def test_a_linked_python_is_listed_once(local: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("there is no /usr/bin/python3 here; apt-get install python3")
    for name in ("python3", "python3.11", "python3.9"):
        (tmp_path / name).symlink_to(os.path.realpath("/usr/bin/python3"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [python.path for python in find_pythons(local)] == [str(tmp_path / "python3")]


def test_a_device_without_python_has_none(
    local: LocalTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("sh", "readlink"):
        (tmp_path / name).symlink_to(os.path.realpath(f"/usr/bin/{name}"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_pythons(local) == ()


def test_a_runtime_that_wants_a_newer_glibc_is_named_with_both_versions(
    local: LocalTransport, environment: Callable[..., str]
) -> None:
    files = {
        **NUMPY, "ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": GLIBC,
        "ai_edge_litert-2.3.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: ai-edge-litert\nVersion: 2.3.0\n",
    }  # fmt: skip
    python = only(local, environment(files))
    assert not python.usable_for_agent and "GLIBC_2.34" in python.failures["ai-edge-litert"]
    assert python.why_not() == (
        "ai-edge-litert 2.3.0 is installed but does not load: GLIBC_2.34 not found "
        f"(this device has glibc {python.glibc})"
    )


def test_a_runtime_that_crashes_hides_no_other(local: LocalTransport, environment: Callable[..., str]) -> None:
    files = {
        **NUMPY,
        "ai_edge_litert/interpreter.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "tflite_runtime/__init__.py": "__version__ = '2.14.0'\nprint('edgewright-python:{}')\n",
        "tflite_runtime/interpreter.py": "import os\nos.write(1, b'noise without an end')\n" + WELL,
    }
    python = only(local, environment(files))
    assert python.failures == {"ai-edge-litert": "the import crashed Python (signal 11)"}
    assert python.runtimes == {"tflite-runtime": "2.14.0"} and python.usable_for_agent


def test_a_runtime_that_hangs_is_given_up(
    local: LocalTransport, environment: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE", module.PROBE.replace("signal.alarm(30)", "signal.alarm(1)"))
    files = {**NUMPY, "ai_edge_litert/interpreter.py": "import time\ntime.sleep(600)\n"}
    start = time.monotonic()
    python = only(local, environment(files))
    assert "did not import within" in python.failures["ai-edge-litert"] and time.monotonic() - start < 60


def test_tensorflow_is_imported_only_where_nothing_lighter_loads(
    local: LocalTransport, environment: Callable[..., str]
) -> None:
    tensorflow = {"tensorflow/__init__.py": "__version__ = '2.15.0'\nclass lite:\n    class Interpreter: pass\n"}
    alone = only(local, environment({**NUMPY, **tensorflow}, "alone"))
    assert alone.tflite_runtimes == ("tensorflow",) and alone.runtimes["tensorflow"] == "2.15.0"
    broken = {"tensorflow/__init__.py": "raise RuntimeError('first line\\nsecond line')\n"}
    beside = {**NUMPY, **broken, "ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": WELL}
    assert only(local, environment(beside, "beside")).runtimes == {"ai-edge-litert": "unknown", "tensorflow": "unknown"}
    failed = only(local, environment({**NUMPY, **broken}, "failed"))
    assert failed.failures == {"tensorflow": "RuntimeError: first line"} and not failed.usable_for_agent


def test_numpy_that_is_missing_or_broken_is_the_reason(local: LocalTransport, environment: Callable[..., str]) -> None:
    runtime = {"tflite_runtime/__init__.py": "", "tflite_runtime/interpreter.py": WELL}
    without = only(local, environment(runtime, "without"))
    assert without.why_not() == "numpy is not installed" and not without.usable_for_agent
    broken = only(local, environment({**runtime, "numpy/__init__.py": "raise ImportError('no openblas')\n"}, "broken"))
    assert broken.why_not() == "numpy is installed but does not load: ImportError: no openblas"


def test_what_lies_in_the_working_folder_is_not_imported(
    local: LocalTransport, environment: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("ndarray = 1\n__version__ = '9.9'\n")
    monkeypatch.chdir(tmp_path)
    assert only(local, environment({})).numpy is None


@pytest.mark.parametrize("version", ["3.6", "3.7"])
def test_an_old_python_can_say_that_it_is_too_old(local: LocalTransport, version: str) -> None:
    places = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), *Path("/usr/bin").glob(f"python{version}")]
    if not places:
        pytest.skip(f"there is no Python {version} on this machine; install one with: pyenv install {version}")
    python = only(local, str(places[0]))
    assert python.version[:2] == tuple(map(int, version.split("."))) and not python.usable_for_agent
    assert "is too old; 3.8 or newer is needed" in python.why_not()


def write_program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_a_python_that_does_not_start_or_answer_is_listed_with_its_reason(
    local: LocalTransport, tmp_path: Path
) -> None:
    dead = write_program(tmp_path / "dead", "echo 'Fatal: no module named encodings' >&2; exit 1")
    slow = write_program(tmp_path / "slow", "exec sleep 600")
    liar = write_program(tmp_path / "liar", "echo 'edgewright-python:[1, 2'")
    start = time.monotonic()
    found = {python.asked: python for python in find_pythons(local, [dead, slow, liar], timeout_s=2.0) if python.asked}
    assert time.monotonic() - start < 60
    assert found[dead].why_not() == "it does not start: exit code 1, it said: Fatal: no module named encodings"
    assert "did not end within 2 s" in found[slow].why_not() and found[slow].version == ()
    assert "it does not start" in found[liar].summary() and not found[liar].usable_for_agent


def test_a_version_managers_stand_in_is_no_python(
    local: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = write_program(tmp_path / "python3.9", "echo 'python3.9: command not found' >&2; exit 127")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert all(python.path != shim for python in find_pythons(local))
    assert "command not found" in only(local, shim).why_not()  # the user asked for it


@pytest.mark.parametrize("path", ["python3", "-c", "", "~/venv/bin/python", "$(id)"])
def test_an_extra_python_is_an_absolute_path(local: LocalTransport, path: str) -> None:
    with pytest.raises(InputError, match="absolute path"):
        find_pythons(local, [path])


def test_an_extra_python_that_is_not_there_is_an_input_error(local: LocalTransport, tmp_path: Path) -> None:
    hostile = f"/nowhere/$(touch {tmp_path}/pwned)/python; touch {tmp_path}/pwned"
    with pytest.raises(InputError, match="there is no program"):
        find_pythons(local, [hostile])
    assert list(tmp_path.glob("pwned")) == []


def test_a_device_that_is_gone_is_no_python_that_does_not_start(
    local: LocalTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link breaks while a Python is asked: nothing answers from then on."""
    slow = write_program(tmp_path / "slow", "exec sleep 600")
    run = local.run

    def cut(argv: list[str], timeout_s: float) -> object:
        if argv[0] == slow:
            monkeypatch.setattr(local, "run", gone)
            raise DeviceError("the link broke")
        return run(argv, timeout_s)

    def gone(argv: list[str], timeout_s: float) -> object:
        raise DeviceError("the device is gone")

    monkeypatch.setattr(local, "run", cut)
    with pytest.raises(DeviceError, match="the device is gone"):
        find_pythons(local, [slow])


@pytest.fixture(params=["ssh_rig", "board_rig"])
def far(request: pytest.FixtureRequest, rig_env: dict[str, str], tmp_path: Path) -> Iterator[Transport]:
    rig = request.getfixturevalue(request.param)
    transport = connect(Device(request.param, rig.uri), tmp_path)
    yield transport
    transport.close()


def test_a_far_device_shows_its_pythons(far: Transport) -> None:
    found = find_pythons(far)
    assert found and all(python.version >= (3, 8) and python.path.startswith("/") for python in found)
    assert all(python.usable_for_agent == (python.why_not() == "") for python in found)


def test_a_phone_has_none(phone_rig: object, rig_env: dict[str, str], tmp_path: Path) -> None:
    transport = connect(Device("phone", phone_rig.uri), tmp_path)  # type: ignore[attr-defined]
    assert find_pythons(transport) == ()
    transport.close()

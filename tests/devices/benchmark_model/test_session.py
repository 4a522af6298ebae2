"""Measuring through Google's benchmark_model.

The tool is a stand-in (see `benchmark_stand_in`). All else is real: the push, the start on the device, the time-outs,
the signals, the reading of the output.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgewright.device_agent.template import Constant, Header, Template, TemplateSite
from edgewright.device_agent.timing import TimingProtocol
from edgewright.devices.benchmark_model.output import check_delegate, parse_output
from edgewright.devices.benchmark_model.program_file import check_program
from edgewright.devices.benchmark_model.session import BenchmarkModelSession, arguments
from edgewright.devices.connect import connect
from edgewright.devices.local import LocalTransport
from edgewright.devices.probe.report import DeviceReport
from edgewright.devices.registry import Device
from edgewright.devices.session.jobs import CampaignJob, MeasureJob
from edgewright.errors import DeviceError, InputError
from edgewright.profiling.records import Measurement

from tests.devices.benchmark_model.stand_in import TOOL, tool
from tests.marks import sweep

PROTOCOL = TimingProtocol()
# Ends well when the tool that wrote its process id is no more: neither running nor anything but a zombie.
WAIT_FOR_THE_END = """
for f in "$1"/benchmark-*/pid; do read p < "$f"; done
for i in 1 2 3 4 5 6 7 8 9; do
s=; { read a b s rest < "/proc/$p/stat"; } 2>/dev/null
case $s in Z|"") exit 0 ;; esac
sleep 1
done
exit 1
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., BenchmarkModelSession]]:
    """Sessions on this machine, closed at the end."""
    opened: list[BenchmarkModelSession] = []

    def make(mode: str = "good", delegate: str = "gpu", binary: Path | None = None) -> BenchmarkModelSession:
        program = binary or tool(tmp_path, mode)
        opened.append(BenchmarkModelSession(lambda: LocalTransport(tmp_path / "agent"), "bench", program, delegate))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


@pytest.fixture(params=["ssh_rig", sweep("board_rig"), "phone_rig"])
def far_device(request: pytest.FixtureRequest, rig_env: dict[str, str]) -> Device:
    return Device(request.param, request.getfixturevalue(request.param).uri)


def measured(session: BenchmarkModelSession, model: bytes, protocol: TimingProtocol = PROTOCOL) -> dict[str, object]:
    return session.measure(MeasureJob(model_sha=session.put_blob(model)), protocol)


def error_of(session: BenchmarkModelSession, model: bytes, protocol: TimingProtocol = PROTOCOL) -> dict[str, str]:
    reply = measured(session, model, protocol)
    assert Measurement.from_reply(reply).error is not None
    return reply["error"]  # type: ignore[return-value]


def test_a_measurement_holds_the_tools_figures_and_says_what_they_are(
    start: Callable[..., BenchmarkModelSession], small_model: bytes
) -> None:
    reply = measured(start(), small_model)
    median_ms = len(small_model) / 1e3
    assert reply["samples_ms"] == [median_ms] and reply["median_ms"] == median_ms
    assert reply["latency_method"] == "benchmark_model, median of 40 runs"
    assert reply["mad_ms"] is None and reply["p90_ms"] is None and reply["settled"] is None
    assert reply["n_warmup"] == 7 and reply["load_ms"] == 12.5 and reply["size_bytes"] == len(small_model)
    assert reply["child_ms"] == pytest.approx(12.5 + 7 * 0.7105 + 40 * 1.2345)
    measurement = Measurement.from_reply(reply)
    assert measurement.latency_ms == median_ms and measurement.memory_mib == 5.8125
    assert measurement.memory_method == "benchmark_model footprint (growth of peak RSS)"
    kept = measurement.health["after"]["benchmark_model"]
    assert kept["count"] == 40 and kept["std_ms"] == 0.042 and kept["p95_ms"] == float(f"{len(small_model)}1") / 1e3
    assert kept["delegation"] == "GPU completely" and kept["peak_mib"] == 9.5
    assert measurement.health["before"]["load_1m"] is not None and measurement.health["after"]["load_1m"] is not None


def test_an_old_tool_gives_its_mean_under_that_name(
    start: Callable[..., BenchmarkModelSession], small_model: bytes
) -> None:
    reply = measured(start("old"), small_model)
    assert reply["samples_ms"] == [1057.84] and reply["median_ms"] is None
    assert reply["latency_method"] == "benchmark_model, mean (this version prints no median) of 40 runs"
    assert reply["memory_mib"] == 12.8672


def test_equal_runs_are_known_one_by_one(start: Callable[..., BenchmarkModelSession], small_model: bytes) -> None:
    reply = measured(start("same"), small_model)
    assert reply["samples_ms"] == [1.3] * 4 and reply["mad_ms"] == 0.0
    assert reply["latency_method"] == "benchmark_model, 4 equal runs"


def test_memory_that_did_not_grow_is_unknown(start: Callable[..., BenchmarkModelSession], small_model: bytes) -> None:
    assert measured(start("nomemory"), small_model)["memory_mib"] is None


@pytest.mark.parametrize("delegate", ["cpu", "xnnpack"])
def test_the_cpu_delegates(start: Callable[..., BenchmarkModelSession], delegate: str, small_model: bytes) -> None:
    session = start(delegate=delegate)
    assert measured(session, small_model).get("error") is None
    assert session.facts()["delegate"] == delegate


def test_a_part_on_the_gpu_is_named_as_such(start: Callable[..., BenchmarkModelSession], small_model: bytes) -> None:
    kept = Measurement.from_reply(measured(start("partly"), small_model)).health["after"]["benchmark_model"]
    assert kept["delegation"] == "GPU partially (3 kernels)"


@pytest.mark.parametrize(
    ("mode", "delegate", "reason"),
    [
        ("nogpu", "gpu", "GPU acceleration is unsupported on this platform"),
        ("nothing", "gpu", "the model graph will not be executed by the delegate"),
        ("good", "nnapi", "was it built for this system, with this delegate"),
        ("implicit", "cpu", "used XNNPACK although it was told not to"),
        ("failed", "gpu", "Failed to apply GPU delegate"),
        ("invoke", "gpu", "failed to invoke"),
        ("silent", "gpu", "printed no timings"),
        ("zero", "gpu", "too short"),
    ],
)
def test_no_figure_under_a_wrong_name(
    start: Callable[..., BenchmarkModelSession], mode: str, delegate: str, reason: str, small_model: bytes
) -> None:
    error = error_of(start(mode, delegate), small_model)
    assert error["kind"] == "run_failed" and reason in error["message"]


def test_what_ends_the_tool_is_named(start: Callable[..., BenchmarkModelSession], small_model: bytes) -> None:
    crash, killed = error_of(start("crash"), small_model), error_of(start("killed"), small_model)
    assert crash["kind"] == "crash" and "SIGSEGV" in crash["message"]
    assert killed["kind"] == "crash" and "SIGKILL (a system that is short of memory does that)" in killed["message"]
    broken = error_of(start(), b"no model at all")
    assert broken["kind"] == "load_failed" and "Failed to load model" in broken["message"]


def test_a_tool_that_hangs_is_killed_and_the_session_goes_on(
    start: Callable[..., BenchmarkModelSession], small_model: bytes, tmp_path: Path, processes: object
) -> None:
    session = start("hang")
    begun = time.monotonic()
    error = error_of(session, small_model, TimingProtocol(timeout_s=2.0))
    assert error["kind"] == "timeout" and "within 2 s" in error["message"] and time.monotonic() - begun < 60
    (pid_file,) = (tmp_path / "agent").glob("benchmark-*/pid")
    processes.wait_for(lambda: not processes.is_running(int(pid_file.read_text())))  # type: ignore[attr-defined]
    assert error_of(session, small_model, TimingProtocol(timeout_s=1.0))["kind"] == "timeout"


def test_a_tool_that_prints_without_end_is_stopped(
    start: Callable[..., BenchmarkModelSession], small_model: bytes
) -> None:
    session = start("endless")
    with pytest.raises(InputError, match="prints without end"):
        measured(session, small_model)


def test_pinning_reaches_the_tool_and_a_bad_cpu_is_named(
    start: Callable[..., BenchmarkModelSession], small_model: bytes
) -> None:
    session = start()
    assert measured(session, small_model, TimingProtocol(affinity=(0,))).get("error") is None
    error = error_of(session, small_model, TimingProtocol(affinity=(4000,)))
    assert error["kind"] == "bad_affinity" and "4000" in error["message"]


def template() -> Template:
    """A hand-made template whose emitted files begin like a model."""
    header = Header(
        sites=(TemplateSite("a", 5),), constants=(Constant(8, 0, 0, (5, 6), (0, None)),), int32=((16, 0),), int64=()
    )
    structure = b"\x10\0\0\0TFL3" + bytes(40)
    return Template.seal(header, structure, np.arange(30, dtype=np.float32).tobytes())


def test_a_campaigns_subnets_are_cut_here_and_leave_the_device(
    start: Callable[..., BenchmarkModelSession], tmp_path: Path
) -> None:
    session, made = start(), template()
    sha = session.put_blob(made.to_bytes())
    assert sha == hashlib.sha256(made.to_bytes()).hexdigest()
    gates = [np.packbits([*bits, 0, 0, 0]).tobytes() for bits in ([1, 0, 0, 0, 0], [1, 1, 1, 1, 1])]
    jobs = [CampaignJob(position, 1, packed) for position, packed in enumerate(gates)]
    replies = list(session.measure_each("0" * 32, sha, jobs, PROTOCOL))
    assert [(reply.position, reply.attempt) for reply in replies] == [(0, 1), (1, 1)]
    sizes = [len(made.emit(packed)) for packed in gates]
    assert [reply.reply["samples_ms"] for reply in replies] == [[size / 1e3] for size in sizes]
    assert [reply.reply["size_bytes"] for reply in replies] == sizes
    assert all(reply.reply["emit_ms"] > 0 and abs(reply.started_unix_s - time.time()) < 600 for reply in replies)
    assert list((tmp_path / "agent").glob("benchmark-*/*")) == []
    assert list(session.spooled("0" * 32)) == []
    session.drop_spooled("0" * 32, [(0, 1)])
    with pytest.raises(InputError, match="cannot cut this subnet out of the template"):
        session.measure(MeasureJob(template_sha=sha, packed_gates=b"\0\0\0\0"), PROTOCOL)


def test_a_session_leaves_the_binary_and_nothing_else(
    start: Callable[..., BenchmarkModelSession], small_model: bytes, tmp_path: Path
) -> None:
    session = start()
    sha = session.put_blob(small_model)
    for _ in range(2):
        assert session.measure(MeasureJob(model_sha=sha), PROTOCOL).get("error") is None
    (folder,) = (tmp_path / "agent").glob("benchmark-*")
    assert [path.name for path in folder.iterdir()] == [f"{sha}.tflite"]
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700 and folder.stat().st_mode & 0o777 == 0o700
    session.close()
    session.close()
    (left,) = (tmp_path / "agent").iterdir()
    assert left.name.startswith("benchmark_model-") and left.stat().st_mode & 0o777 == 0o700
    assert left.read_bytes() == tool(tmp_path).read_bytes()
    with pytest.raises(DeviceError, match="closed"):
        session.health()


def test_the_binary_is_pushed_once_and_again_when_it_was_altered(
    start: Callable[..., BenchmarkModelSession], small_model: bytes, tmp_path: Path
) -> None:
    start().close()
    (program,) = (tmp_path / "agent").glob("benchmark_model-*")
    first = program.stat().st_ino
    start().close()
    assert program.stat().st_ino == first
    program.write_text("#!/bin/sh\necho tampered\n")
    assert measured(start(), small_model).get("error") is None


def test_a_session_can_be_opened_again(start: Callable[..., BenchmarkModelSession], small_model: bytes) -> None:
    session = start()
    sha = session.put_blob(small_model)
    session.measure(MeasureJob(model_sha=sha), PROTOCOL)
    session.reopen()
    assert session.measure(MeasureJob(model_sha=sha), PROTOCOL).get("error") is None
    with pytest.raises(InputError, match="put_blob it first"):
        session.measure(MeasureJob(model_sha="0" * 64), PROTOCOL)


def test_a_link_that_ends_during_a_run_is_a_device_error(
    start: Callable[..., BenchmarkModelSession], small_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start("hang")
    streams: list[object] = []
    opening = LocalTransport.open_stream
    monkeypatch.setattr(
        LocalTransport, "open_stream", lambda self, argv: streams.append(opening(self, argv)) or streams[-1]
    )

    def cut() -> None:
        while not streams:
            time.sleep(0.02)
        time.sleep(0.5)
        os.killpg(streams[0].pid, signal.SIGKILL)  # type: ignore[attr-defined]

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(DeviceError, match="ended during a measurement"):
        measured(session, small_model)
    thread.join(timeout=20)


def test_facts_say_what_measured_and_stay_the_same(start: Callable[..., BenchmarkModelSession]) -> None:
    first, second = start(), start()
    facts = first.facts()
    assert facts == second.facts() and facts["runtime"] == "benchmark_model" and facts["delegate"] == "gpu"
    assert facts["runtime_version"].startswith("sha256 ") and len(facts["device_id"]) == 16
    assert set(first.health()) >= {"load_1m", "temperatures_c", "memory_available_mib"}


def elf(machine: int, loader: bytes | None = b"/lib64/ld-linux.so", wide: bool = True) -> bytes:
    """The head of an ELF file: as much of it as tells what executes it."""
    head = 64 if wide else 52
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        start = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, head, 0, 0, 64, 56, 1, 0, 0, 0)
        entry = struct.pack("<IIQQQQQQ", 3 if loader else 1, 4, head + 56, 0, 0, 0, 0, 1)
    else:
        start = ident + struct.pack("<HHIIIIIHHHHHH", 3, machine, 1, 0, head, 0, 0, 52, 32, 1, 0, 0, 0)
        entry = struct.pack("<IIIIIIII", 3 if loader else 1, head + 32, 0, 0, 0, 0, 4, 1)
    return start + entry + (loader or b"") + bytes(64)


def test_a_binary_of_another_architecture_or_system_is_refused_before_it_is_pushed(tmp_path: Path) -> None:
    path, phone = tmp_path / "tool", DeviceReport(machine="aarch64", os="Android 13 (API 33)", android_api=33)
    board = DeviceReport(machine="aarch64", os="Ubuntu 22.04")
    check_program(path, elf(183, b"/system/bin/linker64"), phone, "d")
    check_program(path, elf(40, b"/system/bin/linker", wide=False), phone, "d")
    check_program(path, elf(183, None), phone, "d")
    check_program(path, elf(183), board, "d")
    check_program(path, elf(62), DeviceReport(machine="something new", os="Linux"), "d")
    with pytest.raises(InputError, match="built for x86-64, device 'd' is aarch64"):
        check_program(path, elf(62), phone, "d")
    with pytest.raises(InputError, match="built for 64-bit ARM .aarch64., device 'd' is armv7l"):
        check_program(path, elf(183), DeviceReport(machine="armv7l"), "d")
    with pytest.raises(InputError, match="built for Linux .it needs /lib64/ld-linux.so., .* runs Android 13"):
        check_program(path, elf(183), phone, "d")
    with pytest.raises(InputError, match="built for Android .* runs Ubuntu"):
        check_program(path, elf(183, b"/system/bin/linker64"), board, "d")
    for garbage in (b"", b"PK\3\4 an archive", b"\x7fELF", elf(183)[:30]):
        with pytest.raises(InputError, match="not an ELF file"):
            check_program(path, garbage, phone, "d")


def test_a_real_program_of_this_machine_is_accepted_and_another_one_is_not_benchmark_model(
    start: Callable[..., BenchmarkModelSession], small_model: bytes
) -> None:
    session = start(binary=Path("/bin/ls"))
    with pytest.raises(InputError, match="does not start as benchmark_model on device 'bench'.*--graph"):
        measured(session, small_model)
    silent = start(binary=Path("/bin/true"))
    with pytest.raises(InputError, match="exit code 0.: it said nothing"):
        measured(silent, small_model)


def test_bad_arguments_are_input_errors(start: Callable[..., BenchmarkModelSession], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a delegate is one of cpu, xnnpack, gpu, nnapi"):
        start(delegate="npu")
    with pytest.raises(InputError, match="cannot read the benchmark_model binary"):
        start(binary=tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a Linux or Android program"):
        start(binary=tmp_path / "text")


def test_the_protocol_becomes_the_tools_flags() -> None:
    protocol = TimingProtocol(threads=3, n_warmup_min=8, warmup_max_ms=500, n_runs=70, min_time_ms=30, max_time_ms=900)
    assert arguments("/d/m", "cpu", protocol) == [
        "--graph=/d/m", "--num_threads=3", "--warmup_runs=8", "--warmup_min_secs=0.5",
        "--num_runs=70", "--min_secs=0.03", "--max_secs=0.9", "--use_xnnpack=false",
    ]  # fmt: skip
    for delegate, flag in [("gpu", "--use_gpu=true"), ("nnapi", "--use_nnapi=true"), ("xnnpack", "--use_xnnpack=true")]:
        assert flag in arguments("/d/m", delegate, protocol)


def test_an_old_tools_words_for_a_delegate_are_read_too() -> None:
    old = "Applied GPU delegate, and the model graph will be completely executed w/ the delegate."
    assert check_delegate("gpu", old, parse_output(old)) is None
    assert check_delegate("nnapi", old, parse_output(old)) is not None
    vague = "Applied GPU delegate, and the model graph will be partially executed w/ the delegate."
    assert check_delegate("gpu", vague, parse_output(vague)) is not None
    none = "INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 0 delegate kernels."  # noqa: E501
    assert check_delegate("gpu", none, parse_output(none)) is not None


def test_reading_survives_what_is_cut_off_anywhere() -> None:
    done = subprocess.run(["sh", "-c", TOOL.replace("MODE", "good")], capture_output=True, text=True)
    text = done.stdout + "INFO: count=40 first=1 curr=2 min=1 max=3 avg=2 std=0 p5=1 median=2 p95=3\ncount=0\n"
    for end in itertools.chain(range(0, len(text), 7), [len(text)]):
        output = parse_output(text[:end])
        assert output.timed is None or output.timed.count >= 1


def test_it_measures_on_a_far_device(far_device: Device, tmp_path: Path, small_model: bytes) -> None:
    path = tool(tmp_path)
    with BenchmarkModelSession(lambda: connect(far_device, tmp_path), far_device.name, path, "gpu") as session:
        reply = measured(session, small_model)
        assert reply["samples_ms"] == [len(small_model) / 1e3] and reply["size_bytes"] == len(small_model)
        assert session.health()["memory_available_mib"]
    transport = connect(far_device, tmp_path)
    left = transport.run(["ls", transport.agent_dir], 30).stdout.decode().split()
    assert [name for name in left if name.startswith("benchmark-")] == []
    assert [name for name in left if name.startswith("benchmark_model-")] != []
    transport.close()


def test_a_hanging_tool_is_killed_on_a_far_device(far_device: Device, tmp_path: Path, small_model: bytes) -> None:
    path = tool(tmp_path, "hang")
    with BenchmarkModelSession(lambda: connect(far_device, tmp_path), far_device.name, path, "gpu") as session:
        assert error_of(session, small_model, TimingProtocol(timeout_s=5.0))["kind"] == "timeout"
        transport = connect(far_device, tmp_path)
        gone = transport.run(["sh", "-c", WAIT_FOR_THE_END, "sh", transport.agent_dir], 60)
        transport.close()
    assert gone.returncode == 0, "the tool still runs on the device"

"""`--backend benchmark-model` at the command line. Its stand-in: `tests.devices.benchmark_model.stand_in`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgewright.profiling.records import Record
from edgewright.profiling.store.store import Store

from tests.devices.benchmark_model.stand_in import tool

Command = Callable[..., Any]
BACKEND = ("--backend", "benchmark-model", "--binary")


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    """The tool as it is on a phone, where every delegate is to be had."""
    return tool(tmp_path, "android")


@pytest.fixture
def model(tmp_path: Path, template: Any, trained: Any) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(template.emit(trained.supernet.space.smallest().pack()).tobytes())
    return path


@pytest.fixture
def place(tmp_path: Path, workspace: Path, template: Any) -> Path:
    """A workspace in which nothing was measured yet."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "templates").symlink_to(workspace / "templates")
    return folder


@pytest.fixture
def gpu_campaign(edgewright: Command, place: Path, binary: Path) -> list[Record]:
    """`local` was profiled by the tool, with its GPU delegate, and by nobody else."""
    words = ("profile", "local", "--subnets", 12, *BACKEND, binary, "--delegate", "gpu", "--workspace", place)
    assert edgewright(*words).exit_code == 0
    return newest_records(place)


def newest_records(place: Path) -> list[Record]:
    with Store.open(place / "measurements.sqlite") as store:
        return store.records(store.campaigns("local")[0])


def facts_of(place: Path, records: list[Record]) -> dict[str, Any]:
    """What is stored of the device and of what measured there: the same for all the records."""
    (digest,) = {record.facts_digest for record in records}
    with Store.open(place / "measurements.sqlite") as store:
        return store.facts(digest)


@pytest.mark.parametrize("delegate", ["cpu", "xnnpack", "gpu", "nnapi"])
def test_a_measurement_names_its_delegate(
    edgewright: Command, place: Path, binary: Path, model: Path, delegate: str
) -> None:
    words = ("measure", model, "local", *BACKEND, binary, "--delegate", delegate, "--workspace", place)
    answer = edgewright(*words, "--json")
    assert answer.exit_code == 0, answer.err
    found = answer.json
    assert found["backend"] == "benchmark-model" and found["delegate"] == delegate
    assert found["samples_ms"] == [model.stat().st_size / 1e3] and found["memory_mib"] == 5.8125
    ran = {"cpu": None, "xnnpack": "XNNPACK completely", "gpu": "GPU completely", "nnapi": "NNAPI completely"}
    assert found["health_after"]["benchmark_model"]["delegation"] == ran[delegate]
    assert f"m.tflite on local, delegate {delegate}" in answer.err


@pytest.mark.parametrize(
    ("mode", "method"),
    [
        ("android", "benchmark_model, median of 40 runs"),
        ("old", "benchmark_model, mean (this version prints no median) of 40 runs"),
    ],
)
def test_the_one_figure_of_many_runs_is_called_what_it_is(
    edgewright: Command, place: Path, model: Path, tmp_path: Path, mode: str, method: str
) -> None:
    answer = edgewright("measure", model, "local", *BACKEND, tool(tmp_path, mode), "--workspace", place)
    assert answer.exit_code == 0 and f" ms ({method})" in answer.err
    assert "MAD" not in answer.err and "1 runs" not in answer.err


def test_the_agents_measurement_has_no_delegate(edgewright: Command, place: Path, model: Path) -> None:
    answer = edgewright("measure", model, "local", "--workspace", place, "--json")
    assert answer.json["backend"] == "agent" and answer.json["delegate"] is None
    assert "delegate" not in answer.err and f"({len(answer.json['samples_ms'])} runs)" in answer.err


def test_a_delegate_that_was_not_applied_gives_no_figure(
    edgewright: Command, place: Path, model: Path, tmp_path: Path
) -> None:
    words = ("measure", model, "local", *BACKEND, tool(tmp_path, "nogpu"), "--delegate", "gpu", "--workspace", place)
    answer = edgewright(*words)
    assert answer.exit_code == 5 and "the GPU delegate ran no part of the model" in answer.err
    assert len(answer.err.splitlines()) == 2 and "what went over the link is in" in answer.err


@pytest.mark.parametrize("command", ["measure", "profile"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--backend", "tflite"), "a backend is one of agent, benchmark-model; got 'tflite'"),
        ((*BACKEND, "TOOL", "--delegate", "npu"), "a delegate is one of cpu, xnnpack, gpu, nnapi; got 'npu'"),
        (("--binary", "TOOL"), "--binary applies to --backend benchmark-model only; the agent has its own runtime"),
        (
            ("--delegate", "gpu"),
            "--delegate gpu applies to --backend benchmark-model only; the agent computes on the CPU (xnnpack)",
        ),
        (
            ("--backend", "benchmark-model"),
            "--backend benchmark-model needs --binary FILE, Google's benchmark_model for the device; got None",
        ),
        (
            (*BACKEND, "absent"),
            "--backend benchmark-model needs --binary FILE, Google's benchmark_model for the device; got absent",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    edgewright: Command, place: Path, binary: Path, model: Path, command: str, words: tuple[str, ...], sentence: str
) -> None:
    first = (model, "local") if command == "measure" else ("local",)
    given = [binary if word == "TOOL" else word for word in words]
    answer = edgewright(command, *first, *given, "--workspace", place)
    assert (answer.exit_code, answer.out, answer.err) == (2, "", f"edgewright: {sentence}\n")
    assert not (place / "measurements.sqlite").exists(), "it is refused before anything is begun"


def test_a_binary_that_is_no_program_is_refused(edgewright: Command, place: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a program")
    answer = edgewright("measure", model, "local", *BACKEND, tmp_path / "notes", "--workspace", place)
    assert answer.exit_code == 2 and "not a Linux or Android program" in answer.err and answer.err.count("\n") == 1


def test_a_campaign_stores_the_delegate_with_its_records(place: Path, gpu_campaign: list[Record]) -> None:
    assert len({record.architecture.digest for record in gpu_campaign if record.kind == "subnet"}) == 12
    assert all(record.error is None for record in gpu_campaign)
    facts = facts_of(place, gpu_campaign)
    assert facts["delegate"] == "gpu" and facts["runtime"] == "benchmark_model"
    kept = [record.measurement.health["after"]["benchmark_model"]["delegation"] for record in gpu_campaign]
    assert set(kept) == {"GPU completely"}


@pytest.mark.parametrize("command", ["report", "fit"])
def test_predictors_do_not_use_what_the_tool_measured(
    edgewright: Command, place: Path, gpu_campaign: list[Record], command: str
) -> None:
    answer = edgewright("predictor", command, "local", "--workspace", place)
    assert answer.exit_code == 2 and answer.err == (
        "edgewright: 'local' has no records with this supernet in float32 that the agent measured, and predictors use "
        "no others; "
        "run `edgewright profile local` first\n"
    )


def test_predictors_go_on_using_the_agents_older_campaign(edgewright: Command, place: Path, binary: Path) -> None:
    """A newer campaign of the tool's neither replaces it nor is mixed into it."""
    assert edgewright("profile", "local", "--subnets", 30, "--workspace", place).exit_code == 0
    before = edgewright("predictor", "report", "local", "--workspace", place, "--json").json
    words = ("profile", "local", "--subnets", 12, *BACKEND, binary, "--delegate", "gpu", "--workspace", place)
    assert edgewright(*words).exit_code == 0
    assert edgewright("predictor", "report", "local", "--workspace", place, "--json").json == before
    assert before["n_subnets"] == 30


@pytest.mark.parametrize(
    ("delegate", "difference"),
    [
        (None, "was measured with runtime 'benchmark_model', now it is 'ai-edge-litert'"),
        ("cpu", "was measured with delegate 'gpu', now it is 'cpu'"),
    ],
)
def test_a_campaign_is_only_resumed_by_what_began_it(
    edgewright: Command, place: Path, binary: Path, gpu_campaign: list[Record], delegate: str | None, difference: str
) -> None:
    backend = () if delegate is None else (*BACKEND, binary, "--delegate", delegate)
    answer = edgewright("profile", "local", "--resume", *backend, "--workspace", place)
    assert answer.exit_code == 2 and difference in answer.err
    assert answer.err.rstrip().endswith("start a new one (without --resume)")
    assert newest_records(place) == gpu_campaign


def test_the_same_tool_and_delegate_resume_it(
    edgewright: Command, place: Path, binary: Path, gpu_campaign: list[Record]
) -> None:
    words = ("profile", "local", "--resume", *BACKEND, binary, "--delegate", "gpu", "--workspace", place)
    answer = edgewright(*words, "--json")
    assert answer.exit_code == 0 and answer.json["profile"]["n_measured"] == 0
    assert answer.json["profile"]["total"] == len(gpu_campaign)


def test_a_fleets_table_does_not_mix_what_agent_and_tool_measured(
    edgewright: Command, place: Path, binary: Path
) -> None:
    """The same spread campaign by both: each device's part has its namesake, drawn alike, of the other means."""
    edgewright("device", "add", "desk", "local:", "--workspace", place)
    spread = ("profile", "local", "desk", "--spread", "--subnets", 40, "--workspace", place)
    assert edgewright(*spread).exit_code == 0
    before = edgewright("predictor", "report", "local", "--workspace", place, "--json").json
    assert edgewright(*spread, *BACKEND, binary, "--delegate", "gpu").exit_code == 0
    assert edgewright("predictor", "report", "local", "--workspace", place, "--json").json == before
    assert before["n_subnets"] == 40

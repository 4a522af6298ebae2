"""Commands that meet in one workspace wait for each other, join, or refuse in one sentence."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from edgewright.errors import Interrupted
from edgewright.profiling.store.store import Store
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from tests.cli.command_line import MAIN
from tests.marks import sweep

EVALUATE = ("--part", "scenarios", "--method", "edgewright", "--task", "has 3", "--budget", "0.9")
EVALUATE += ("--images", "20", "--subnets", "20")
CUSTOMIZE = ("customize", "--task", "has 3", "--latency-ms", "100", "--test-images", "20")


def start(folder, *words, name="out"):
    """A command in a process of its own; what it prints goes to files."""
    argv = [sys.executable, "-c", MAIN, *words, "--workspace", str(folder / "workspace"), "--json"]
    out, err = (open(folder / f"{name}.{kind}", "wb") for kind in ("json", "err"))  # noqa: SIM115
    with out, err:
        return subprocess.Popen(argv, stdout=out, stderr=err, cwd=folder)


def ended(folder, process, name="out"):
    """Exit code, the JSON object and what was said."""
    code = process.wait(timeout=250)
    text = (folder / f"{name}.json").read_text()
    return code, json.loads(text) if text else None, (folder / f"{name}.err").read_text()


@pytest.fixture
def folder(tmp_path, template, workspace):
    return prepared(tmp_path, workspace)


def prepared(folder, workspace):
    """With the template that all tests share, so that nothing is converted."""
    (folder / "workspace").mkdir()
    (folder / "workspace" / "templates").symlink_to(workspace / "templates")
    return folder


@pytest.mark.sweep
def test_three_customisations_in_a_fresh_workspace_share_one_campaign(folder):
    processes = [start(folder, *CUSTOMIZE, "--out", f"{n}.tflite", name=str(n)) for n in range(3)]
    answers = [ended(folder, process, str(n)) for n, process in enumerate(processes)]
    assert [code for code, _, _ in answers] == [0, 0, 0], [said[-500:] for _, _, said in answers]
    assert all(told["verified"] for _, told, _ in answers)
    with Store.open(folder / "workspace" / "measurements.sqlite") as store:
        assert len(store.campaigns("local")) == 1
    assert sum("a short campaign" in said for _, _, said in answers) == 1


@pytest.mark.sweep
def test_an_evaluation_and_a_customisation_in_a_fresh_workspace_do_not_disturb_each_other(folder):
    """The evaluation has a workspace of its own, in its folder."""
    evaluation = start(folder, *prepared_evaluation(folder), name="evaluation")
    code, told, said = ended(folder, start(folder, *CUSTOMIZE, "--out", "m.tflite"))
    assert code == 0 and told["verified"], said[-500:]
    code, _, said = ended(folder, evaluation, "evaluation")
    assert code == 0 and len(rows(folder)) == 1, said[-500:]


@pytest.mark.sweep
def test_a_second_evaluation_into_a_folder_is_refused(folder):
    words = prepared_evaluation(folder)
    first = start(folder, *words, name="first")
    deadline = time.monotonic() + 120
    try:
        while not (folder / "evaluation" / "index.html").exists():
            assert first.poll() is None and time.monotonic() < deadline, (folder / "first.err").read_text()
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)
        code, told, said = ended(folder, start(folder, *words, name="second"), "second")
        sentence = "another process evaluates into evaluation; wait for it to end, or choose another folder"
        assert code == told["exit_code"] == 2 and said.splitlines()[-1] == f"edgewright: {sentence}"
    finally:
        first.kill()
        first.wait()


def prepared_evaluation(folder):
    """The command, and what it would convert."""
    (folder / "evaluation" / "workspace").mkdir(parents=True)
    (folder / "evaluation" / "workspace" / "templates").symlink_to(folder / "workspace" / "templates")
    return ("evaluate", "numvqa", "evaluation", *EVALUATE)


def rows(folder):
    return (folder / "evaluation" / "scenarios.csv").read_text().splitlines()[1:]


@contextmanager
def profiling(folder):
    """A campaign that has begun and is halted, so that it lasts as long as it is needed."""
    process = start(folder, "profile", "local", "--subnets", "500", name="long")
    path = folder / "workspace" / "measurements.sqlite"
    deadline = time.monotonic() + 120
    try:
        while not (path.exists() and _n_records(path) > 2):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "long.err").read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        yield process
    finally:
        process.kill()
        process.wait()


def _n_records(path):
    with Store.open(path) as store:
        campaigns = store.campaigns("local")
        return len(store.records(campaigns[0])) if campaigns else 0


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("predictor", "fit", "local"), 2, "'local' is being profiled by another process; wait for it to end"),
        sweep(("predictor", "report", "local"), 2, "'local' is being profiled by another process; wait for it to end"),
        (("agent", "deploy", "local"), 4, "another process is using 'local'; wait for it to end, or stop it"),
        (("agent", "remove", "local"), 4, "another process is using 'local'; wait for it to end, or stop it"),
        (("agent", "status", "local"), 0, ""),
        (("records", "export", "local", "--out", "records.csv"), 0, ""),
        sweep(("report", "workspace"), 2, "'local' is being profiled by another process; wait for it to end"),
        (("device", "list"), 0, ""),
        sweep(("evaluate", "numvqa", "similar", "--part", "similarity"), 0, ""),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_beside_a_campaign(running, words, code, sentence):
    answer = ended(running, start(running, *words))
    assert answer[0] == code and sentence in answer[2], answer[2]
    if code:
        assert answer[1]["exit_code"] == code and len(answer[2].splitlines()) == 1


@pytest.fixture(scope="module")
def running(tmp_path_factory, template, workspace):
    folder = prepared(tmp_path_factory.mktemp("running"), workspace)
    with profiling(folder):
        yield folder


def test_models_are_pushed_and_measured_beside_a_campaign(running, trained, template):
    smallest = trained.supernet.space.smallest()
    (running / "model.tflite").write_bytes(template.emit(smallest.pack()).tobytes())
    assert ended(running, start(running, "push", "model.tflite", "local"))[0] == 0
    assert ended(running, start(running, "measure", "model.tflite", "local"))[0] == 0


@pytest.mark.sweep
def test_an_evaluation_beside_a_campaign_measures_with_an_agent_of_its_own(running):
    code, _, said = ended(running, start(running, *prepared_evaluation(running), name="evaluation"), "evaluation")
    assert code == 0 and len(rows(running)) == 1, said[-500:]


def test_a_second_campaign_waits_for_the_first(folder):
    with profiling(folder):
        second = start(folder, "profile", "local", "--resume", name="second")
        deadline = time.monotonic() + 60
        while "waiting for it to end" not in (folder / "second.err").read_text():
            assert second.poll() is None and time.monotonic() < deadline, (folder / "second.err").read_text()
            time.sleep(0.2)
        second.send_signal(signal.SIGINT)
        assert second.wait(timeout=60) == 130


def test_a_campaign_that_was_stopped_too_early_is_gone_on_with(folder, edgewright):
    stop = threading.Event()
    with Workbench(folder / "workspace") as bench, pytest.raises(Interrupted):
        bench.pair("local").profile(CampaignOptions(60), lambda at: at.done < 5 or stop.set(), stop)
    said = edgewright(*CUSTOMIZE, "--out", folder / "m.tflite", "--workspace", folder / "workspace")
    assert said.exit_code == 0, said.err
    assert "campaign 1 of 'local' has only 5 measurements; continuing it" in said.err
    with Store.open(folder / "workspace" / "measurements.sqlite") as store:
        (campaign,) = store.campaigns("local")
        assert len({record.position for record in store.records(campaign)}) > 60

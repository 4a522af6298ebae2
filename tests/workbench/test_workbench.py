"""A workspace is opened piece by piece, shared, and closed in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edgewright.errors import InputError
from edgewright.workbench.workbench import Workbench


def test_nothing_is_written_before_it_is_asked_for(tmp_path: Path) -> None:
    with Workbench(tmp_path / "w") as bench:
        bench.device("local")
        bench.supernet("numvqa-resnet")
        assert not (tmp_path / "w").exists()
        assert bench.store.campaigns() == [] and (tmp_path / "w" / "measurements.sqlite").is_file()


def test_the_workspace_is_the_one_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWRIGHT_WORKSPACE", str(tmp_path / "mine"))
    assert Workbench().workspace.root == tmp_path / "mine"
    assert Workbench(tmp_path / "other").workspace.root == tmp_path / "other"


def test_a_device_and_the_store_are_opened_once(profiled: Path) -> None:
    with Workbench(profiled) as bench:
        device = bench.device("local")
        assert bench.device("local") is device and device.session is device.session
        assert bench.pair("local").store is bench.store is bench.pair(device).store


def test_sessions_are_closed_before_the_store(profiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    with Workbench(profiled) as bench:
        for name, opened in (("session", bench.device("local").session), ("store", bench.store)):
            close = opened.close
            monkeypatch.setattr(opened, "close", lambda name=name, close=close: (closed.append(name), close()))
    assert closed == ["session", "store"]


def test_an_error_closes_everything_and_is_not_hidden(profiled: Path) -> None:
    with pytest.raises(KeyError, match="mine"), Workbench(profiled) as bench:
        session = bench.device("local").session
        raise KeyError("mine")
    with pytest.raises(Exception, match="closed|ended|gone"):
        session.facts()


def test_what_is_closed_can_be_opened_again(profiled: Path) -> None:
    bench = Workbench(profiled)
    first = len(bench.store.campaigns())
    bench.close()
    assert len(bench.store.campaigns()) == first and bench.device("local").facts()["machine"]
    bench.close()


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda bench: bench.device("locl"), "locl"),
        (lambda bench: bench.supernet("no-such"), "no supernet in no-such"),
        (lambda bench: bench.supernet(precision="int4"), "int4"),
        (lambda bench: bench.pair("local").supernet.task("only two, evn"), "did you mean 'even'"),
    ],
)
def test_what_is_not_there_is_one_sentence(tmp_path: Path, ask: Any, sentence: str) -> None:
    with Workbench(tmp_path) as bench, pytest.raises(InputError, match=sentence):
        ask(bench)


def test_a_supernet_in_memory_is_taken_with_its_own_data(profiled: Path, trained: Any, domain: Any) -> None:
    with Workbench(profiled) as bench:
        net = bench.supernet(trained, domain=domain)
        assert net.trained is trained and net.domain is domain and net.named is None
        assert bench.pair("local", trained).records() == bench.measured("local", net).records() != []


def test_a_recipe_is_trained_and_its_supernet_is_at_hand(tmp_path: Path) -> None:
    from tests.assembler.joint.tiny import TINY

    steps: list[tuple[str, int]] = []
    with Workbench(tmp_path / "w") as bench:
        trained = bench.train(TINY, tmp_path / "mine", on_progress=lambda at: steps.append((at.stage, at.step)))
        with pytest.raises(InputError, match="already holds a trained supernet"):
            bench.train(TINY, tmp_path / "mine")
        assert bench.supernet(tmp_path / "mine").trained.digest == trained.digest
    assert [stage for stage, _ in steps].count("joint") == TINY.joint_steps and steps[0][1] == 1

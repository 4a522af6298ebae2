"""Whole frames that no host would send: the agent answers each, and stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device_agent.odd_frames import (
    CHUNK,
    CHUNK_SHA,
    FUZZ,
    HELLO,
    MIB,
    PATHS,
    TIMING,
    Running,
    check_home,
    frame,
    odd_requests,
    put,
    requests,
)

EXAMPLES, FRAMES_EACH = 1500, 10


def keeps_the_agent(request: tuple[dict[str, Any], bytes]) -> bool:
    """Whether a request leaves it with enough patience for this test: a silence of 0.5 s is valid, too."""
    header = request[0]
    return header.get("op") not in ("bye", "heartbeat") and (
        header.get("op") != "hello" or header.get("silence_s") != 0.5
    )


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path / "device") as agent:
        yield agent


def operations(agent: Running) -> list[str]:
    """What the agent says it knows, so that an operation added later is fuzzed too."""
    said = agent.ask(frame({"op": "?", "id": 0}))["error"]["message"]
    return said.partition("this agent knows ")[2].split(", ")


def test_whole_frames_are_answered_and_change_nothing(agent: Running, small_model: bytes) -> None:
    """15,000 of them to one agent: an answer to each, no growth, no child or descriptor left, no stray file."""
    names = operations(agent)
    assert set(names) == set(requests("")), "a new operation needs an example of its request here"
    sha, pushed = put(small_model)
    agent.ask(frame(HELLO))
    sent = 0
    warm: list[tuple[int, int, int]] = []
    request = odd_requests([*names, "format_disk", ""], sha).filter(keeps_the_agent)

    @settings(max_examples=EXAMPLES, **FUZZ)
    @given(st.lists(request, min_size=FRAMES_EACH, max_size=FRAMES_EACH))
    def fuzz(batch: list[tuple[dict[str, Any], bytes]]) -> None:
        nonlocal sent
        agent.ask(frame(HELLO))
        assert "ok" in agent.ask(pushed)
        for header, payload in batch:
            reply = agent.ask(frame(header, payload))
            identity = header.get("id")
            plain = type(identity) is int and 0 <= identity < 1 << 53
            assert reply["re"] == (identity if plain else None)
            assert ("ok" in reply) != ("error" in reply)
            assert "ok" in reply or (reply["error"]["kind"] and 0 < len(reply["error"]["message"]) < 2000)
            sent += 1
        if sent == 3000:
            warm.append(agent.state())

    fuzz()
    assert sent >= 15_000
    rss, descriptors, children = agent.state()
    assert rss - warm[0][0] < 4 * MIB and descriptors == warm[0][1] and children == 0
    code, rest, stderr = agent.end()
    assert (code, rest) == (0, b"") and "Traceback" not in stderr
    check_home(agent.folder)


@pytest.mark.parametrize("name", PATHS, ids=repr)
def test_no_name_leaves_the_folder(agent: Running, name: str) -> None:
    """A delivery's name is a plain file name or is refused; so are a campaign's key and a blob's hash."""
    agent.ask(frame(HELLO))
    agent.ask(frame({"op": "blob_put", "id": 1, "sha": CHUNK_SHA, "size": 4, "offset": 0}, CHUNK))
    reply = agent.ask(frame({"op": "deliver", "id": 2, "sha": CHUNK_SHA, "name": name}))
    if name in ("CON", "model.tflite"):
        assert Path(reply["ok"]["path"]) == (agent.folder / "home" / "artifacts" / name).resolve()
    else:
        assert reply["error"]["kind"] == "blob"
    for refused in (
        {"op": "spool_drop", "key": name, "jobs": [[0, 1]]},
        {"op": "spool_list", "key": name},
        {"op": "spool_read", "key": name, "job": [0, 1]},
        {"op": "blob_stat", "sha": name},
        {"op": "measure", "model_sha": name, "timing": TIMING},
        {"op": "measure", "template_sha": name, "timing": TIMING},
    ):
        assert "error" in agent.ask(frame({"id": 3, **refused}))
    assert agent.end()[0] == 0
    check_home(agent.folder)
    assert {path.name for path in (agent.folder / "home" / "artifacts").iterdir()} <= {"CON", "model.tflite"}


def test_a_very_large_value_is_refused_in_few_words(agent: Running, small_model: bytes) -> None:
    """An answer that repeats it would be larger than a frame may be."""
    sha, pushed = put(small_model)
    agent.ask(frame(HELLO))
    agent.ask(pushed)
    large = ["x" * 900_000, [[1] * 100_000], {"x" * 900_000: 1}]
    for name, fields in requests(sha).items():
        for field in ("op", *fields):
            for value in large:
                reply = agent.ask(frame({"op": name, "id": 5, **fields, field: value}))
                assert reply["re"] == 5 and len(reply["error"]["message"]) < 2000, (name, field)
    for field in TIMING:
        for value in large:
            timing = {**TIMING, field: value}
            reply = agent.ask(frame({"op": "measure", "id": 5, "model_sha": sha, "timing": timing}))
            assert reply["re"] == 5 and len(reply["error"]["message"]) < 2000, field

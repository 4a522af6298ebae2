"""Work is spread over processes that are started afresh, a chunk of items at a time."""

import multiprocessing
import os

import pytest
from edgewright.data.spread import CHUNK, spread
from edgewright.errors import InputError


def where(items):
    return [(os.getpid(), multiprocessing.process.current_process().name, each) for each in items]


def fail(items):
    raise InputError(f"no {items[0]}")


def end(items):
    os._exit(1)


def test_every_item_is_worked_on_once_in_other_processes():
    items, told = list(range(3 * CHUNK + 7)), []
    results = list(spread(where, items, lambda done, total: told.append((done, total))))
    for part, rows in results:
        assert [each for _, _, each in rows] == items[part]
    assert sorted(each for _, rows in results for _, _, each in rows) == items
    assert os.getpid() not in {pid for _, rows in results for pid, _, _ in rows}
    assert told[-1] == (len(items), len(items)) and len(told) == 4


def test_a_small_set_is_worked_on_here():
    for items, here in (([1, 2, 3], False), (list(range(2 * CHUNK)), True)):
        results = list(spread(where, items, lambda *_: None, here))
        assert {pid for _, rows in results for pid, _, _ in rows} == {os.getpid()}
    assert list(spread(where, [], lambda *_: None)) == []


def test_errors_come_back():
    with pytest.raises(InputError, match="no 0|no 256"):
        list(spread(fail, range(2 * CHUNK), lambda *_: None))


def test_a_process_that_is_ended_is_one_sentence():
    with pytest.raises(InputError, match="a process that read images was ended, perhaps for want of memory; run again"):
        list(spread(end, range(2 * CHUNK), lambda *_: None))

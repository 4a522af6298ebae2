"""Draws ahead: each step's own, once, whoever draws it."""

import threading
import time
from dataclasses import dataclass

import pytest
import torch
from edgewright.training.ahead import DEPTH, Ahead, pinned


class Draws:
    """Draws that say which thread made them; later ones are ready first."""

    def __init__(self):
        self.made = []

    def __call__(self, step):
        time.sleep(0.002 * (step % 2 == 0))
        self.made.append((step, threading.current_thread()))
        return 10 * step


@pytest.mark.parametrize("n_threads", [0, 1, 3])
@pytest.mark.parametrize("first", [0, 7])
def test_each_step_gets_its_own_draw(n_threads, first):
    draws = Draws()
    with Ahead(n_threads) as ahead:
        ready = ahead.steps(draws, lambda drawn: drawn + 1, 20)
        assert [ready(step) for step in range(first, 20)] == [10 * step + 1 for step in range(first, 20)]
    assert sorted(step for step, _ in draws.made) == list(range(first, 20)), "none twice, and none beyond the last"
    own = threading.current_thread()
    assert all((thread is own) == (n_threads == 0) for _, thread in draws.made)
    assert ahead.waited_s > 0


def test_only_so_many_are_drawn_ahead():
    draws = Draws()
    with Ahead(2) as ahead:
        ready = ahead.steps(draws, lambda drawn: drawn, 1000)
        ready(0)
        for _ in range(500):
            if len(draws.made) == 2 * DEPTH + 1:
                break
            time.sleep(0.01)
        assert sorted(step for step, _ in draws.made) == list(range(2 * DEPTH + 1))


def test_without_threads_nothing_is_drawn_before_it_is_asked_for():
    draws = Draws()
    ready = Ahead().steps(draws, lambda drawn: drawn, 5)
    assert draws.made == [] and ready(3) == 30 and [step for step, _ in draws.made] == [3]


@pytest.mark.parametrize("n_threads", [0, 2])
def test_a_draw_that_fails_fails_its_step(n_threads):
    def draw(step):
        if step == 2:
            raise ValueError("no batch")
        return step

    with Ahead(n_threads) as ahead:
        ready = ahead.steps(draw, lambda drawn: drawn, 5)
        assert [ready(0), ready(1)] == [0, 1]
        with pytest.raises(ValueError, match="no batch"):
            ready(2)


def test_the_threads_end_with_the_context():
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt), Ahead(3) as ahead:
        ready = ahead.steps(lambda step: step, lambda drawn: drawn, 1000)
        ready(0)
        assert set(threading.enumerate()) > before
        raise KeyboardInterrupt
    assert set(threading.enumerate()) == before


@dataclass(frozen=True)
class Part:
    numbers: torch.Tensor
    nothing: None = None


@dataclass(frozen=True)
class Whole:
    images: torch.Tensor
    part: Part


def test_all_tensors_of_a_draw_are_pinned(monkeypatch):
    """CUDA pins memory; in its place there is a note."""
    seen = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: seen.append(self.tolist()) or self + 100)
    whole, noise = pinned((Whole(torch.tensor([1]), Part(torch.tensor([2]))), torch.tensor([3])))
    assert seen == [[1], [2], [3]]
    assert (whole.images, whole.part.numbers, noise) == (101, 102, 103) and whole.part.nothing is None
    with Ahead(1, pin=True) as ahead:
        assert ahead.steps(lambda step: torch.tensor(step), lambda drawn: drawn, 3)(1) == 101

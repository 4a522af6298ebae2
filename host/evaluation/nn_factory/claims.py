"""The paper's claims, compared with an evaluation's tables: reached, not reached, or not testable here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from ...tasks.domain import TaskDomain
from .paper import table_2_covers

Verdict = Literal["reached", "not reached", "not testable here"]
_LOW = 0.05
_AT_LOW = {"resnet": 0.99, "vit": 0.877}  # the least accuracy that Table 2 has at this limit
_SLACK = 0.01  # of accuracy: what 500 images of a task can tell apart


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper, what was found, and the verdict."""

    claim: str
    found: str
    verdict: Verdict


def claims(
    accuracy: pd.DataFrame, scenarios: pd.DataFrame, preparation: pd.DataFrame, domain: TaskDomain
) -> list[Claim]:
    """All of them, in the paper's order."""
    answers = [
        _low_limits(name, wanted, part)
        for name, part in accuracy.groupby("supernet", sort=False)
        for backbone, wanted in _AT_LOW.items()
        if backbone in name and table_2_covers(domain)
    ]
    answers += [_limits_hold(accuracy), _plateau(accuracy), _unseen(accuracy)]
    if len(scenarios):
        run = set(scenarios["method"])
        answers += [_budgets_met(scenarios)]
        answers += [_against_retrain(scenarios, domain)] if run & {"retrain", "retrain-equal"} else []
        answers += [_against_pruning(scenarios)] if "prune-tune" in run else []
        answers += [_rare(scenarios, domain)]
        if run & {"retrain", "prune-tune"}:
            answers += [_cheaper(scenarios), _break_even(scenarios, preparation)]
    return [*answers, Claim("within budgets on a phone and a Jetson", "", "not testable here")]


def by_method(scenarios: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by scenario (rows) and method (columns), where all methods have one."""
    return scenarios.pivot_table(index=["task", "share"], columns="method", values="accuracy").dropna()


def _verdict(holds: bool) -> Verdict:
    return "reached" if holds else "not reached"


def _low_limits(name: str, wanted: float, part: pd.DataFrame) -> Claim:
    trained = part[~part["held_out"] & (part["limit"] == _LOW)]["accuracy"]
    text = f"{name}: at least {wanted:.1%} at a limit of 5 %"
    if not len(trained):
        return Claim(text, "5 % leaves less than a module per site", "not testable here")
    return Claim(text, f"mean {trained.mean():.1%}, lowest {trained.min():.1%}", _verdict(trained.mean() >= wanted))


def _limits_hold(accuracy: pd.DataFrame) -> Claim:
    over = int((accuracy["ratio"] > accuracy["limit"] + 1e-9).sum())
    return Claim("no subnet opens more than its limit", f"{over} of {len(accuracy)} do", _verdict(over == 0))


def _plateau(accuracy: pd.DataFrame) -> Claim:
    mean = accuracy[accuracy["supernet"] == accuracy["supernet"].iloc[0]].groupby("limit")["ratio"].mean()
    text = "the open share follows a small limit and levels off at a large one"
    said = ", ".join(f"{limit:.0%}: {ratio:.1%}" for limit, ratio in mean.items())
    return Claim(text, said, _verdict(mean.iloc[0] > 0.8 * mean.index[0] and mean.iloc[-1] < 0.8 * mean.index[-1]))


def _unseen(accuracy: pd.DataFrame) -> Claim:
    rows = accuracy[(accuracy["limit"] == 0.2) & (accuracy["supernet"] == accuracy["supernet"].iloc[0])]
    trained, unseen = (rows[rows["held_out"] == held]["accuracy"] for held in (False, True))
    said = f"at 20 %: unseen {unseen.mean():.1%} (lowest {unseen.min():.1%}), trained {trained.mean():.1%}"
    return Claim("unseen tasks lose little on average", said, _verdict(trained.mean() - unseen.mean() < 0.03))


def _budgets_met(scenarios: pd.DataFrame) -> Claim:
    ours = scenarios[scenarios["method"] == "edgewright"]
    met = (ours["latency_ms"] <= ours["budget_ms"]) & (ours["memory_mib"].fillna(0) <= ours["budget_mib"].fillna(1e9))
    return Claim("every generated model is within its budget", f"{int(met.sum())} of {len(ours)}", _verdict(met.all()))


def _rare(scenarios: pd.DataFrame, domain: TaskDomain) -> Claim:
    """The half of the scenarios' tasks that have the fewest objects in the training images."""
    text = "better than Retrain where a task has little data (AttrOD)"
    few = _rarest(scenarios, domain)
    rare = scenarios[scenarios["task"].isin(few)]
    if not len(rare) or "retrain" not in set(rare["method"]):
        return Claim(text, "", "not testable here")
    gain = _gain(rare, "retrain")
    said = f"{_points(gain)} the full model's, on {len(few)} tasks with up to {max(few.values()):,} objects"
    return Claim(text, said, _verdict(gain.mean() > 0))


def _rarest(scenarios: pd.DataFrame, domain: TaskDomain) -> dict[str, int]:
    """How many objects there are to learn from, of the half of the tasks that have the fewest; empty where images are
    made at will."""
    counts = {str(task): domain.count(domain.space.parse(str(task))) for task in scenarios["task"].unique()}
    known = {task: count for task, count in counts.items() if count is not None}
    return dict(sorted(known.items(), key=lambda item: item[1])[: len(known) // 2])


def _against_retrain(scenarios: pd.DataFrame, domain: TaskDomain) -> Claim:
    equal, full = _gain(scenarios, "retrain-equal"), _gain(scenarios, "retrain")
    few = _rarest(scenarios, domain)
    if few:  # the paper's Table 3 has the full architecture only, and is near it where there is much data
        gain = _gain(scenarios[~scenarios["task"].isin(few)], "retrain")
        text = "within three points of Retrain where a task has much data"
        return Claim(text, f"{_points(gain)} the full model's", _verdict(gain.mean() >= -3.0))
    said = f"{_points(equal)} Retrain at equal latency; {_points(full)} the full model's"
    return Claim("close to Retrain: within a point at equal latency", said, _verdict(equal.mean() >= -1.0))


def _against_pruning(scenarios: pd.DataFrame) -> Claim:
    gain = _gain(scenarios, "prune-tune")
    return Claim("better than Prune&Tune", f"{_points(gain)} Prune&Tune", _verdict(gain.mean() > 0))


def _gain(scenarios: pd.DataFrame, baseline: str) -> pd.Series[float]:
    """Points of accuracy that customising is above a baseline, by scenario."""
    table = by_method(scenarios)
    if table.empty or not {"edgewright", baseline} <= set(table.columns):
        return pd.Series([float("nan")])  # a page written half-way, before the first such model is measured
    return 100 * (table["edgewright"] - table[baseline])


def _points(gain: pd.Series[float]) -> str:
    return f"{gain.mean():+.2f} points on average ({gain.min():+.1f} to {gain.max():+.1f}) against"


def seconds_by_method(scenarios: pd.DataFrame) -> dict[str, float]:
    """Mean seconds a scenario."""
    return {str(name): float(value) for name, value in scenarios.groupby("method")["seconds"].mean().items()}


def _cheaper(scenarios: pd.DataFrame) -> Claim:
    seconds = seconds_by_method(scenarios)
    others = [seconds[name] for name in ("retrain", "prune-tune") if name in seconds]
    ratio = min(others) / seconds["edgewright"] if others and "edgewright" in seconds else float("nan")
    text = "customising is over 1,000 times cheaper than either baseline"
    return Claim(text, f"{ratio:,.0f} times", _verdict(ratio > 1000))


def break_even(scenarios: pd.DataFrame, preparation: pd.DataFrame) -> dict[str, float]:
    """After how many scenarios customising has cost less than a baseline, preparation counted."""
    once = preparation.groupby("method")["seconds"].sum()
    seconds = seconds_by_method(scenarios)
    counts: dict[str, float] = {}
    for name in ("retrain", "prune-tune"):
        if name in seconds and "edgewright" in seconds and seconds[name] > seconds["edgewright"]:
            extra = float(once.get("edgewright", 0.0)) - float(once.get(name, 0.0))
            counts[name] = extra / (seconds[name] - seconds["edgewright"])
    return counts


def _break_even(scenarios: pd.DataFrame, preparation: pd.DataFrame) -> Claim:
    counts = break_even(scenarios, preparation)
    said = ", ".join(f"{count:.0f} scenarios against {name}" for name, count in counts.items())
    return Claim("preparation pays off after some scenarios", said, _verdict(bool(counts)))

"""What each chart and table of a report page shows and what to conclude, in sentences made from its numbers."""

from __future__ import annotations

import numpy as np

from ..wording import counted
from .page_data import Drift, Front, GateShares, Learning, Predictions, Verified

_NEAR_FLOOR = 1.3  # an error this close to the noise floor is the device's, not the predictor's


def predictions(data: Predictions) -> str:
    errors = data.errors
    share = 100 * float(data.inside.mean())
    sentences = [
        f"One point for each of {len(errors)} subnets, predicted by a model that had not seen it. On the dashed line, "
        f"the prediction equals the measurement. The bar is the {data.confidence:.0%} interval: {share:.1f} % of the "
        f"subnets are inside. The predictions are {100 - errors.mean():.2f} % accurate on average, "
        f"{100 * float((errors <= 5).mean()):.1f} % of them within 5 %."
    ]
    floor = data.noise_floor
    if floor is None:
        sentences.append("No subnet was measured twice, so the scatter of the device itself is not known.")
    elif errors.mean() <= _NEAR_FLOOR * floor:
        sentences.append(
            f"Two measurements of one subnet differ by {floor:.2f} %: the predictor's error is about as small as the "
            "device's own scatter, so a better predictor would hardly be noticed."
        )
    else:
        sentences.append(
            f"Two measurements of one subnet differ by {floor:.2f} %: the predictor's error is {errors.mean():.2f} %, "
            f"so the device's scatter does not explain {errors.mean() - floor:.2f} points of it."
        )
    return " ".join(sentences)


def drift(data: Drift) -> str:
    before, after = (_typical(residuals) for residuals in (data.before, data.after))
    sentences = [
        "How far each measurement is above or below its prediction, in the order of measurement. Diamonds are the "
        "sentinel, one fixed subnet that is measured again and again. A flat band means that the device was steady."
    ]
    if data.stretches:
        slowest = max(data.stretches, key=lambda stretch: stretch.level)
        fastest = min(data.stretches, key=lambda stretch: stretch.level)
        stretches = counted(len(data.stretches), "shaded stretch", "shaded stretches")
        sentences.append(
            f"{stretches}: there the device was slower (orange) "
            f"or faster (blue) than usual, from {fastest.level - 1:+.1%} to {slowest.level - 1:+.1%}."
        )
    sentences.append(
        f"Correction reduces the typical distance from {before:.2f} % to {after:.2f} %: "
        + ("drift was a good part of it." if after < 0.9 * before else "there was little drift to remove.")
    )
    return " ".join(sentences)


def learning(data: Learning) -> str:
    first, last = data.mape[0], data.mape[-1]
    return (
        f"Error on held-out subnets, after {data.n_train[0]} subnets ({first:.2f} %) up to {data.n_train[-1]} "
        f"({last:.2f} %). Where the line is flat, or follows the dashed noise floor, more subnets gain nothing. "
        f"{data.sentence}"
    )


def pareto(fronts: tuple[Front, ...]) -> str:
    points = sum(len(front.limit) for front in fronts)
    whole = all(front.memory_mib is not None for front in fronts)
    known = "latency, memory, file size" if whole else "latency, file size"
    answers, tasks = counted(points, "answer", "answers"), counted(len(fronts), "task", "tasks")
    return (
        f"{answers} of the assembler to {tasks}: those that no other answer to the "
        f"same task beats in {known} and score together. The score is how much of what the assembler wants for the "
        "task is open. Where a curve is flat, a larger budget buys little."
    )


def gate_shares(data: GateShares) -> str:
    spread = data.shares.max(axis=0) - data.shares.min(axis=0)  # (L,)
    most, least = int(spread.argmax()), int(spread.argmin())
    which = "all" if len(data.tasks) == data.n_tasks else f"{len(data.tasks)} of the {data.n_tasks}"
    return (
        f"The share of each site's modules that the assembler opens at a limit of {data.limit:.0%} of all modules, for "
        f"{which} tasks; darker means more. Columns are the network's sites from input to output. Tasks differ most "
        f"at {data.sites[most]} (by {spread[most]:.0%} of its modules) and least at {data.sites[least]} "
        f"({spread[least]:.0%})."
    )


def verified(rows: tuple[Verified, ...]) -> str:
    judged = [row for row in rows if row.fits is not None]
    below = [row for row in rows if row.upper is not None and row.measured is not None]
    sentences = [
        "Each line is one cost of a model that was measured on the device before it was delivered or rejected; the "
        "upper end is the bound that the predictor gave for a measurement."
    ]
    if below:
        held = sum(row.measured <= row.upper for row in below if row.measured is not None and row.upper is not None)
        sentences.append(f"{held} of {counted(len(below), 'measurement', 'measurements')} stayed below it.")
    if judged:
        sentences.append(f"{sum(row.fits is True for row in judged)} of {len(judged)} met their budget.")
    return " ".join(sentences)


def _typical(residuals: np.ndarray) -> float:
    return float(np.median(np.abs(residuals)))

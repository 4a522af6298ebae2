"""What docs/results.md shows of the benchmarks' runs: per benchmark a title, and its figures in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.markdown import table
from benchmarks.runs import Run

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """`text` puts one run's result into words; a KeyError says that the run does not have the figure."""

    what: str
    text: Callable[[Result], str]


@dataclass(frozen=True)
class Section:
    benchmark: str
    title: str
    note: str
    rows: Callable[[Sequence[Run]], str]


def benchmark_sections(runs: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    yield "## Benchmarks\n"
    yield "Where a benchmark was run several times, its figures stand in the order of the runs.\n"
    for section in SECTIONS:
        known = runs.get(section.benchmark, ())
        yield f"### {section.title}\n\n`python -m benchmarks.{section.benchmark}`. {section.note}\n"
        yield (section.rows(known) if known else "Not measured yet.") + "\n"
        for line in _provenance(known):
            yield line + "\n"


def _provenance(runs: Sequence[Run]) -> Iterator[str]:
    """Where and when; runs that share both are named once."""
    for date, machine in dict.fromkeys((run.date, run.machine) for run in runs):
        notes = " ".join(run.note for run in runs if (run.date, run.machine) == (date, machine) and run.note)
        yield f"Measured on {machine}; {date}. {notes}".strip()


def _figures(*figures: Figure) -> Callable[[Sequence[Run]], str]:
    def rows(runs: Sequence[Run]) -> str:
        lines = ((each.what, _together(each, runs)) for each in figures)
        return table(("figure", "measured"), [(what, said) for what, said in lines if said])

    return rows


def _together(figure: Figure, runs: Sequence[Run]) -> str:
    said = []
    for run in runs:
        try:
            said.append(figure.text(run.result))
        except KeyError:
            continue
    return " / ".join(said)


def _seconds(name: str) -> Callable[[Result], str]:
    return lambda result: f"{result[f'{name}_s']:.3g} s ({_range(result[f'{name}_range_s'])})"


def _range(ends: Sequence[float]) -> str:
    return "-".join(f"{end:.3g}" for end in ends)


def _of_rounds(key: str, form: Callable[[Any], str]) -> Callable[[Result], str]:
    """A figure of every round of `benchmarks.predictors`."""
    return lambda result: " / ".join(form(each["raw"][key]) for each in result["rounds"])


def _of_disturbed(key: str, form: Callable[[Any], str]) -> Callable[[Result], str]:
    return lambda result: " / ".join(form(each[key]) for each in result["disturbed"])


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _times(value: float) -> str:
    return f"{value:.2f} times"


def _use(result: Result) -> str:
    low, middle, high = result["use_quartiles"][1:4]
    return f"{_share(middle)} ({100 * low:.1f}-{100 * high:.1f})"


def _step_ratios(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(run.result["recipe"] for run in runs))
    rows = []
    for name in names:
        own = [run.result for run in runs if run.result["recipe"] == name]
        rows.append((name, *(" / ".join(_times(each[key]) for each in own) for key in ("gated_ratio", "joint_ratio"))))
    return table(("recipe", "under gates", "with the assembler learning too"), rows)


def _precisions(runs: Sequence[Run]) -> str:
    header = ("task", "precision", "file", "accuracy", "latency", "the slice's latency", "memory")
    return table(header, [_precision_row(row) for run in runs for row in run.result["rows"]])


def _precision_row(row: Result) -> tuple[str, ...]:
    slice_ms = row["slice_latency_ms"]
    return (
        row["task"],
        row["precision"],
        f"{row['size_bytes'] / 1024:.0f} KiB",
        _share(row["accuracy"]),
        f"{row['latency_ms']:.3f} ms",
        "" if slice_ms is None else f"{slice_ms:.3f} ms",
        f"{row['memory_mib']:.2f} MiB",
    )


RIGS = {"ssh": "sshd on loopback", "board": "emulated arm64 board", "phone": "adbd of the emulated phone"}


def _rigs(runs: Sequence[Run]) -> str:
    header = ("device", "request and back (p90)", "push of 64 MiB", "first and second deployment", "link, per subnet")
    return table(header, [_rig_row(name, rig) for run in runs for name, rig in run.result["rigs"].items()])


def _rig_row(name: str, rig: Result) -> tuple[str, ...]:
    p90, plain = rig.get("round_trip_p90_ms"), "plain adb push" if name == "phone" else "plain sftp"
    deploys = [rig[key] for key in ("first_deploy_s", "second_deploy_s") if key in rig]
    return (
        RIGS[name],
        f"{rig['round_trip_ms']:.2f} ms" + ("" if p90 is None else f" ({p90:.2f})"),
        f"{rig['push_mib_per_s']:.0f} MiB/s, {rig['push_ratio']:.2f} times {plain}",
        " and ".join(f"{each:.1f} s" for each in deploys),
        f"{rig['link_ms']:.1f} ms" if "link_ms" in rig else "",
    )


def _store(runs: Sequence[Run]) -> str:
    stages = list(next(iter(runs[0].result.values())))
    rows = [
        (f"{int(n):,}", *(f"{costs[stage]['s']:.1f} s, {costs[stage]['mib']:.0f} MiB" for stage in stages))
        for run in runs
        for n, costs in run.result.items()
    ]
    return table(("records", *stages), rows)


TASKS = {
    "which of, trained": ("which", False),
    "which of, never trained": ("which", True),
    "yes or no, trained": ("yes-no", False),
    "yes or no, never trained": ("yes-no", True),
}


def _labelled(runs: Sequence[Run]) -> str:
    header = ("run", "network", "modules open", *TASKS, "right label")
    return table(header, [row for run in runs for row in _networks(run.result)])


def _networks(result: Result) -> Iterator[tuple[str, ...]]:
    steps = " + ".join(str(n) for n in result["steps"].values())
    run = f"seed {result['seed']}, {steps} steps, {result['train_s'] / 60:.0f} minutes"
    right = ", ".join(f"{name} {_share(share)}" for name, share in result["right_labels"].items())
    for network in dict.fromkeys(each["network"] for each in result["tasks"]):
        known = {(each["kind"], each["unseen"]): each for each in result["tasks"] if each["network"] == network}
        ratio = sum(each["ratio"] for each in known.values()) / len(known)
        is_whole = network == "whole"
        yield (
            run, "all gates open" if is_whole else f"limit {network}", _share(ratio),
            *(_share(known[kind]["score"]) if kind in known else "" for kind in TASKS.values()),
            right if is_whole else "",
        )  # fmt: skip


SECTIONS = (
    Section(
        "customize",
        "From request to model file",
        "Everything is loaded; the budget is not filled up. The peer converts the same pruned subnet in the same run. "
        "Medians, with the range in brackets.",
        _figures(
            Figure("request to model file on disk", _seconds("edgewright")),
            Figure("litert-torch converting the same subnet", _seconds("litert_torch")),
            Figure("ratio", lambda result: f"{result['ratio']:.0f}"),
            Figure("request to model file while every core is busy", _seconds("edgewright_busy")),
        ),
    ),
    Section(
        "budget",
        "Random scenarios",
        "Random tasks and budgets, with 300 subnets profiled; each run has its own seed. Use is the larger of the "
        "measured shares of the latency and memory budgets.",
        _figures(
            Figure("met at the first attempt", lambda result: f"{result['first_attempt']} of {result['scenarios']}"),
            Figure("met", lambda result: f"{result['met']} of {result['scenarios']}"),
            Figure("use of the budget, median (quartiles)", _use),
            Figure("request to filled model file, median", lambda result: f"{result['customize_s_median']:.3f} s"),
        ),
    ),
    Section(
        "campaign",
        "What host and agent add to a measurement",
        "Wall time per subnet less the time that the measuring process needs itself.",
        _figures(
            Figure("added per subnet, median", lambda result: f"{result['added_ms']:.1f} ms"),
            Figure("10th to 90th percentile", lambda result: f"{_range(result['added_p10_p90_ms'])} ms"),
        ),
    ),
    Section(
        "predictors",
        "Predictors",
        "Half of the subnets of a campaign of 400 train, the other half test. The noise floor is how much the same "
        "subnet differs between two measurements.",
        _figures(
            Figure("held-out latency error", _of_rounds("steps", _percent)),
            Figure("... of the paper's linear features", _of_rounds("paper", _percent)),
            Figure("... without the learnt tile of 16 channels", _of_rounds("products", _percent)),
            Figure("... of gradient boosting, as a check", _of_rounds("boosting", _percent)),
            Figure("noise floor", _of_rounds("noise_floor", _percent)),
            Figure("error as a multiple of the noise floor", _of_rounds("steps_over_floor", "{:.2f}".format)),
            Figure("share of measurements within 90 % intervals", _of_rounds("coverage_90", _share)),
            Figure("half-way a busy program slows the sentinel", _of_disturbed("sentinel_slower", _times)),
            Figure("... predictions then differ by, uncorrected", _of_disturbed("off_uncorrected", _percent)),
            Figure("... and with drift removed", _of_disturbed("off_corrected", _percent)),
            Figure("subnets per minute", lambda result: f"{result['throughput']['ours_per_minute']:.0f}"),
            Figure(
                "... converted and timed in a fresh process each",
                lambda result: f"{result['throughput']['peers_per_minute']:.1f}",
            ),
        ),
    ),
    Section(
        "devices",
        "The way to a device",
        "Round trips carry 64 bytes; deployments include the canary. The emulated devices say nothing about latency.",
        _rigs,
    ),
    Section(
        "training",
        "A training step",
        "The time of a step, compared with a step of the plain backbone on the same batch; medians.",
        _step_ratios,
    ),
    Section(
        "images",
        "Labelled images",
        "CIFAR-10 at 32 x 32 (recipe `images-32`): the mean score on test images over all tasks of a kind, every "
        "answer counting alike. The supernet with all gates open may only give the task's answers. The right label is "
        "over all labels of a group and all test images.",
        _labelled,
    ),
    Section(
        "store",
        "A campaign that grew",
        "Seconds, and the memory that a stage adds, for a campaign of so many records.",
        _store,
    ),
    Section(
        "precisions",
        "Three precisions",
        "The same subnets (limit 25 %), run on the device on 500 unseen images. A campaign measures the slice of the "
        "quantised supernet in place of the file. float16 saves disk and transfer, not memory: the runtime widens the "
        "weights and keeps both copies.",
        _precisions,
    ),
)

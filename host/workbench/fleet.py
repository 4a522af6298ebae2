"""Several devices profiled at once: a thread, a session and a store each; what one does never stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import EdgewrightError, InputError, Interrupted
from ..workspace import Workspace
from ..cli.output import Bar, Output
from ..cli.commands.profile import ProfileOptions, measure_campaign, profiled_sentence

if TYPE_CHECKING:
    from edgewright.device_agent.template import Template

    from ..assembler.archive import TrainedSupernet
    from ..devices.registry import Device
    from ..profiling.plan import Campaign
    from .profiles import Profiled
    from ..cli.backend import Backend


def profile_several(
    output: Output,
    place: Workspace,
    targets: Sequence[Device],
    backend: Backend,
    trained: TrainedSupernet,
    template: Template,
    options: ProfileOptions,
    spread: bool,
) -> dict[str, Profiled]:
    """A campaign on each device, or with `spread` one over all of them.

    Raises: when all have ended, the first error among them, with the names of those that are done.
    """
    names = [target.name for target in targets]
    fleet = tuple(names) if spread else ()
    asked = _resumed(place, names, template, fleet, options)
    if spread:
        _check_fleet(targets, backend, place)
    stop = threading.Event()

    def one(target: Device, bar: Bar) -> Profiled:
        with backend.open(target, place) as session:
            return measure_campaign(
                output, session, place, target.name, trained, template, asked[target.name], bar, fleet, stop
            )

    with output.bars([f"profiling {name}" for name in names]) as bars:
        jobs = {target.name: partial(one, target, bar) for target, bar in zip(targets, bars, strict=True)}
        outcomes = _together(jobs, stop)
    return _sorted_out(output, outcomes)


def _resumed(
    place: Workspace, names: Sequence[str], template: Template, fleet: tuple[str, ...], options: ProfileOptions
) -> dict[str, ProfileOptions]:
    """What each device does: with --resume, one that never began begins what the others go on with.

    Raises: `InputError` when none of them has anything to go on with.
    """
    from ..profiling.store.store import Store
    from .profiles import find_resumable, template_sha256

    with Store.open(place.store) as store:  # made here, before the devices' threads open it together
        found = {name: find_resumable(store, name, template_sha256(template), fleet) for name in names}
    begun = [campaign for campaign in found.values() if campaign is not None]
    if not options.resume:
        return dict.fromkeys(names, options)
    if not begun:
        raise InputError(f"there is no campaign of {', '.join(map(repr, names))} to resume; start without --resume")
    newest = max(begun, key=lambda campaign: campaign.id)
    plan = newest.options
    fresh = replace(options, resume=False, subnets=plan.n_subnets, seed=plan.seed, threads=newest.protocol.threads)
    return {name: options if _goes_on(found[name], newest) else fresh for name in names}


def _goes_on(own: Campaign | None, newest: Campaign) -> bool:
    """Whether a device has its part already; a share of an older spread campaign is no part of the newest one."""
    if own is None or not newest.options.fleet:
        return own is not None
    whole = replace(newest.options, share=own.options.share)
    return (own.options, own.protocol) == (whole, newest.protocol)


def _check_fleet(targets: Sequence[Device], backend: Backend, place: Workspace) -> None:
    from ..profiling.fleet import check_identical

    facts = {}
    for target in targets:
        with backend.open(target, place) as session:
            facts[target.name] = session.facts()
    check_identical(facts)


def _together(jobs: Mapping[str, Callable[[], Profiled]], stop: threading.Event) -> dict[str, Future[Profiled]]:
    """Every job in a thread; Ctrl-C lets each finish the measurement at hand."""
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="edgewright-device") as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        try:
            wait(futures.values())
        except KeyboardInterrupt:
            stop.set()
            wait(futures.values())
    return futures


def _sorted_out(output: Output, outcomes: dict[str, Future[Profiled]]) -> dict[str, Profiled]:
    done: dict[str, Profiled] = {}
    failed: list[tuple[str, EdgewrightError]] = []
    for name, outcome in outcomes.items():
        error = outcome.exception()
        if error is None:
            done[name] = outcome.result()
            output.say(f"{name}: {profiled_sentence(done[name])}")
        elif isinstance(error, EdgewrightError):
            failed.append((name, error))
        else:
            raise error
    if not failed:
        return done
    failed.sort(key=lambda entry: isinstance(entry[1], Interrupted))
    sentences = "; ".join(f"{name}: {error}" for name, error in failed)
    finished = f"; done: {', '.join(done)}" if done else ""
    raise type(failed[0][1])(f"{sentences}{finished}")

"""Several devices profiled at once: a thread, a session and a store each; a failure of one never stops the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import EdgewrightError, InputError, Interrupted
from ..profiling.store.store import Store
from .on_device import SupernetOnDevice, Tell, watched
from .options import CampaignOptions

if TYPE_CHECKING:
    from ..profiling.plan import Campaign
    from .campaigns import Profiled
    from .device import DeviceBench
    from .supernet import SupernetBench
    from .workbench import Workbench


def profile_fleet(
    bench: Workbench,
    devices: Sequence[DeviceBench],
    supernet: SupernetBench,
    options: CampaignOptions,
    on_progress: Mapping[str, Tell],
    spread: bool = False,
) -> tuple[dict[str, Profiled], dict[str, EdgewrightError]]:
    """A campaign on each device, or with `spread` one over all of them.

    Args:
        on_progress: receives how far each device is, by name; called from threads.

    Returns: when all have ended, the result of each, by name, and the errors of those that failed.

    Raises: `InputError` for a device named twice, devices to spread over that differ, and nothing to resume.
    """
    from ..profiling.fleet import check_names

    names = [device.name for device in devices]
    check_names(names, spread)
    fleet = tuple(names) if spread else ()
    pairs = {device.name: bench.pair(device, supernet) for device in devices}
    asked = _resumed(bench, pairs, fleet, watched(options, list(pairs.values()), bench.on_status))
    if spread:
        _check_identical(devices)
    stop = threading.Event()

    def one(pair: SupernetOnDevice) -> Profiled:
        name = pair.device.name
        with pair.device.open_session() as session, Store.open(bench.workspace.store) as store:
            return pair.run_campaign(session, store, asked[name], on_progress[name], stop, fleet)

    return _sorted_out(_together({name: partial(one, pair) for name, pair in pairs.items()}, stop))


def raise_first(failed: Mapping[str, EdgewrightError], done: Sequence[str]) -> None:
    """One error for all that failed, of the first one's kind, with the names of the devices that are done."""
    if not failed:
        return
    ordered = sorted(failed.items(), key=lambda entry: isinstance(entry[1], Interrupted))
    sentences = "; ".join(f"{name}: {error}" for name, error in ordered)
    finished = f"; done: {', '.join(done)}" if done else ""
    raise type(ordered[0][1])(f"{sentences}{finished}")


def _resumed(
    bench: Workbench, pairs: Mapping[str, SupernetOnDevice], fleet: tuple[str, ...], options: CampaignOptions
) -> dict[str, CampaignOptions]:
    """What each device does: when a campaign is resumed, a device that never began its part begins it now."""
    from .campaigns import find_resumable

    source = next(iter(pairs.values())).source  # the template is built here, before the threads need it
    resumable = {name: find_resumable(bench.store, name, source, fleet) for name in pairs}
    begun = [campaign for campaign in resumable.values() if campaign is not None]
    if not options.resume:
        return dict.fromkeys(pairs, options)
    if not begun:
        raise InputError(f"there is no campaign of {', '.join(map(repr, pairs))} to resume; start without `resume`")
    newest = max(begun, key=lambda campaign: campaign.id)
    plan = newest.options
    fresh = replace(
        options, resume=False, subnets=plan.n_subnets, seed=plan.seed, threads=newest.protocol.threads,
        sentinel_every=plan.sentinel_every, repeat_share=plan.repeat_share,
    )  # fmt: skip
    return {name: options if _goes_on(resumable[name], newest) else fresh for name in pairs}


def _goes_on(own: Campaign | None, newest: Campaign) -> bool:
    """Whether a device has its part already; a share of an older spread campaign does not belong to the newest one."""
    if own is None or not newest.options.fleet:
        return own is not None
    whole = replace(newest.options, share=own.options.share)
    return (own.options, own.protocol) == (whole, newest.protocol)


def _check_identical(devices: Sequence[DeviceBench]) -> None:
    from ..profiling.fleet import check_identical

    facts = {}
    for device in devices:
        with device.open_session() as session:
            facts[device.name] = session.facts()
    check_identical(facts)


def _together(jobs: Mapping[str, Callable[[], Profiled]], stop: threading.Event) -> dict[str, Future[Profiled]]:
    """Every job in a thread; Ctrl-C lets each finish its current measurement."""
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="edgewright-device") as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        try:
            wait(futures.values())
        except KeyboardInterrupt:
            stop.set()
            wait(futures.values())
    return futures


def _sorted_out(outcomes: Mapping[str, Future[Profiled]]) -> tuple[dict[str, Profiled], dict[str, EdgewrightError]]:
    done: dict[str, Profiled] = {}
    failed: dict[str, EdgewrightError] = {}
    for name, outcome in outcomes.items():
        error = outcome.exception()
        if error is None:
            done[name] = outcome.result()
        elif isinstance(error, EdgewrightError):
            failed[name] = error
        else:
            raise error
    return done, failed

"""What the way to a device costs, per rig and in one run: round trips, pushes, deployments, and the link's part of a
campaign.

    python -m benchmarks.devices [--rigs ssh,phone,board] [--rounds 5] [--json FILE]

The rigs are those of the tests (`tests/rigs`, which serves both): a real sshd on loopback, an arm64 board behind one, a
real adbd. Under emulation only the transport's own figures mean anything; latencies of models are never shown.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from edgewright.devices.deployment.deploy import deploy, remove_agent
from edgewright.workbench.device import DeviceBench
from edgewright.workbench.options import CampaignOptions
from edgewright.workbench.workbench import Workbench

from benchmarks.runs import arguments, publish
from tests.rigs.client import ClientHome, RigUnavailable

_PUSH_BYTES = 64 << 20
# What is wanted of a board over SSH on loopback.
_MOST_ROUND_TRIP_MS, _LEAST_SHARE, _MOST_SECOND_DEPLOY_S, _MOST_LINK_MS = 1.0, 0.5, 2.0, 10.0


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rigs", default="ssh,phone,board")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rigs: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch, _client() as client:
        for name in options.rigs.split(","):
            try:
                with _rig(name, client) as rig, Workbench(scratch) as bench:
                    rigs[name] = _measure(bench, name, rig, client, options.rounds)
            except RigUnavailable as reason:
                print(f"\n{name}: not measured, {reason}")
    publish("devices", {"rounds": options.rounds, "rigs": rigs}, options.json)


@contextmanager
def _client() -> Iterator[Any]:
    with ClientHome() as client:
        os.environ.update(client.env)
        os.environ.pop("SSH_AUTH_SOCK", None)
        yield client


@contextmanager
def _rig(name: str, client: Any) -> Iterator[Any]:
    with ExitStack() as stack:
        if name == "ssh":
            from tests.rigs.sshd import SshdRig

            rig: Any = SshdRig(client)
        elif name == "board":
            from tests.rigs.board import BoardRig

            rig = BoardRig(client)
        else:
            from tests.rigs.phone import AdbServer, PhoneRig

            server = AdbServer(client)
            stack.callback(server.stop)
            rig = PhoneRig(server, "EMU0001")
        stack.callback(rig.stop)
        yield rig


def _wanted(name: str, holds: bool, sentence: str) -> str:
    """How a figure stands to what is wanted; said where it is a statement about us and not about an emulator."""
    return f"; wanted: {sentence}, {'met' if holds else 'MISSED'}" if name == "ssh" else ""


def _measure(bench: Workbench, name: str, rig: Any, client: Any, rounds: int) -> dict[str, float]:
    bench.registry.add(name, rig.uri)
    device = bench.device(name)
    print(f"\n{name}: {rig.uri}")
    first, second = _deployments(device)
    wanted = _wanted(name, second < _MOST_SECOND_DEPLOY_S, f"the second below {_MOST_SECOND_DEPLOY_S:g} s")
    print(f"  deploy: first {first:.2f} s, second {second:.2f} s (canary included){wanted}")
    trips = _round_trips(device)
    middle, p90 = statistics.median(trips), trips[int(0.9 * len(trips))]
    wanted = _wanted(name, middle <= _MOST_ROUND_TRIP_MS, f"at most {_MOST_ROUND_TRIP_MS:g} ms")
    print(f"  request round trip, 64 B: median {middle:.3f} ms, p90 {p90:.3f} ms of {len(trips)}{wanted}")
    return {
        "first_deploy_s": first,
        "second_deploy_s": second,
        "round_trip_ms": middle,
        "round_trip_p90_ms": p90,
        **_pushes(name, rig, client, device, rounds),
        **_campaign_overhead(bench, name),
    }


def _deployments(device: DeviceBench) -> tuple[float, float]:
    """Seconds of a first and a second deployment; the bundle, where one is needed, was built before."""
    seconds = []
    for attempt in range(3):
        if attempt == 1:
            with device.reached() as transport:
                remove_agent(transport, device.name)
        started = time.monotonic()
        with device.reached() as transport:
            deploy(transport, device.name, Path("edgewright-workspace/bundles").absolute())
        seconds.append(time.monotonic() - started)
    return seconds[1], seconds[2]


def _round_trips(device: DeviceBench) -> list[float]:
    trips = []
    with device.open_session() as session:
        for _ in range(500):
            start = time.perf_counter()
            session.ping(bytes(64))
            trips.append(1e3 * (time.perf_counter() - start))
    return sorted(trips[20:])


def _pushes(name: str, rig: Any, client: Any, device: DeviceBench, rounds: int) -> dict[str, float]:
    """Our push and the plain tool's, alternating."""
    ours_s, plain_s = [], []
    with tempfile.TemporaryDirectory() as scratch, device.reached() as transport:
        source, target = Path(scratch) / "push.bin", f"{transport.agent_dir}/push.bin"
        source.write_bytes(os.urandom(_PUSH_BYTES))
        plain = _sftp(rig, client, source, target) if name != "phone" else _adb_push(rig, client, source, target)
        for _ in range(rounds):
            ours_s.append(_seconds(lambda: transport.push(source, target)))
            plain_s.append(_seconds(plain))
        transport.run(["rm", "-f", target], 30)
    ours, theirs = (_PUSH_BYTES / 2**20 / statistics.median(seconds) for seconds in (ours_s, plain_s))
    tool = "adb push" if name == "phone" else "sftp"
    wanted = _wanted(name, ours / theirs >= _LEAST_SHARE, f"at least {_LEAST_SHARE:g}")
    print(f"  push of 64 MiB: {ours:.0f} MiB/s, plain {tool} {theirs:.0f} MiB/s: {ours / theirs:.2f} of it{wanted}")
    return {"push_mib_per_s": ours, "plain_push_mib_per_s": theirs, "push_ratio": ours / theirs}


def _sftp(rig: Any, client: Any, source: Path, target: str) -> Callable[[], None]:
    user, _, port = rig.uri.removeprefix("ssh://").partition(":")
    argv = ["sftp", *client.ssh_options, "-q", "-b", "-", "-P", port, user]
    batch = f"put {source} {target}\n".encode()
    return lambda: _quiet(argv, batch)


def _adb_push(rig: Any, client: Any, source: Path, target: str) -> Callable[[], None]:
    argv = [client.adb_program, "-s", rig.uri.removeprefix("adb://"), "push", str(source), target]
    return lambda: _quiet(argv, b"")


def _quiet(argv: list[str], text: bytes) -> None:
    subprocess.run(argv, input=text, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _campaign_overhead(bench: Workbench, name: str) -> dict[str, float]:
    """Added per subnet on the rig and on this machine itself, one after the other: the difference is the link's."""
    options, net, added = CampaignOptions(100 if name == "ssh" else 20, timeout_s=120), bench.supernet(), {}
    for target in ("local", name):
        summary = bench.pair(target, net).profile(options).summary
        added[target] = summary.overhead_ms or float("nan")
        bench.device(target).close()
    link = added[name] - added["local"]
    print(
        f"  added per subnet by host, link and agent: {added[name]:.1f} ms, without the link (local) "
        f"{added['local']:.1f} ms: {'the link adds' if name == 'ssh' else 'link and emulator add'} {link:.1f} ms"
        + _wanted(name, link <= _MOST_LINK_MS, f"at most {_MOST_LINK_MS:g} ms")
    )
    return {"added_ms": added[name], "added_local_ms": added["local"], "link_ms": link}


if __name__ == "__main__":
    sys.exit(main())

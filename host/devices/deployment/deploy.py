"""The agent on a device: sent once, by content hash, into one private folder; checked; and removed again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgewright.device_agent import AGENT_VERSION, PROTOCOL_VERSION

from ...errors import DeviceError, InputError
from ...files import sha256_of, write_atomic
from ..probe.pythons import TFLITE_RUNTIMES
from ..session.agent import AgentSession
from .canary import send_canary
from .record import Deployment, read_deployment, write_deployment
from .runtime_choice import BUNDLED_RUNTIME, Choice, choose_runtime
from .zipapp import build_agent_zipapp

if TYPE_CHECKING:
    from ..session.link import SessionLimits
    from ..transport import Completed, Transport

_COMMAND_S = 60.0
_UNPACK_S = 600.0

Say = Callable[[str], None]

# Made private in the same step as it is made; a link put there by somebody else is not followed. Halves of pushes that
# were cut off go first: they take the room of the next one.
_MAKE_FOLDER = (
    'umask 077; [ ! -L "$1" ] || { echo "$1 is a link; remove it" >&2; exit 1; }; '
    'mkdir -p "$1" && chmod 700 "$1" && rm -rf "$1"/.bundle-* "$1"/.edgewright-*'
)
# Removes files of earlier versions: all that are neither wanted nor in the agent's home.
_TIDY = (
    'cd "$1" || exit 1; shift; for entry in agent-* bundle-*; do keep=; '
    'for wanted in "$@"; do [ "$entry" = "$wanted" ] && keep=1; done; [ "$keep" ] || rm -rf "./$entry"; done'
)
# Complete or not at all, even after a power cut: a folder is renamed once it is on disk. A failure frees the space.
_UNPACK = (
    'umask 077; rm -rf "$2" "$3"; mkdir "$2" && tar -xzf "$1" -C "$2" && { sync || :; } && mv "$2" "$3" && rm -f "$1" '
    '|| { rm -rf "$1" "$2"; exit 1; }'
)
_DISK = 'du -sk "$1" | cut -f1; df -k "$1" | tail -n 1'
# Ends the agents of this folder and their measuring children. They have its home as one of their arguments, which a
# shell whose script mentions it does not. Only the environment of this user's own processes is readable.
_END_AGENTS = (
    'for entry in /proc/[0-9]*; do [ -r "$entry/environ" ] || continue; '
    '{ tr "\\000" "\\n" < "$entry/cmdline"; } 2>/dev/null | grep -qxF -e "$1/home" || continue; '
    'kill -KILL "${entry#/proc/}" 2>/dev/null; done; :'
)


@dataclass(frozen=True)
class DeployOptions:
    """The user's choices; the rest is automatic. `python` and `bundle` exclude each other."""

    python: str | None = None
    runtime: str | None = None
    bundle: Path | None = None

    def __post_init__(self) -> None:
        if self.python is not None and self.bundle is not None:
            raise InputError("`python` and `bundle` exclude each other: the bundle has its own Python")
        if self.runtime not in (None, *TFLITE_RUNTIMES):
            raise InputError(f"`runtime` is one of {', '.join(TFLITE_RUNTIMES)}; got {self.runtime!r}")
        if self.bundle is not None and self.runtime not in (None, BUNDLED_RUNTIME):
            raise InputError(f"a bundle has {BUNDLED_RUNTIME}; leave out `runtime` {self.runtime}, or `bundle`")


@dataclass(frozen=True)
class Deployed:
    """What `deploy` did: the deployment, what was sent, and what the canary measured."""

    deployment: Deployment
    sent: tuple[str, ...]
    sent_bytes: int
    canary_ms: float


@dataclass(frozen=True)
class AgentStatus:
    """What is on a device. `current` tells whether it is this version's agent."""

    agent_dir: str
    deployment: Deployment | None
    current: bool
    used_kib: int | None
    free_kib: int | None


def agent_argv(transport: Transport, deployment: Deployment, device_name: str) -> list[str]:
    """The command that starts the deployed agent. Raises `DeviceError` when it is another version's."""
    if deployment.agent_sha256 != sha256_of(build_agent_zipapp()):
        raise DeviceError(
            f"the agent on device {device_name!r} is another version's ({deployment.agent_version}, protocol "
            f"{deployment.protocol}); bring it up to date with: edgewright agent deploy {device_name}"
        )
    return _argv(transport, deployment)


def _argv(transport: Transport, deployment: Deployment) -> list[str]:
    folder = transport.agent_dir
    python = ["sh", f"{folder}/{deployment.bundle}/run"] if deployment.bundle else list(deployment.argv)
    forced = ["--runtime", deployment.forced_runtime] if deployment.forced_runtime else []
    return [*python, f"{folder}/{deployment.agent}", "--home", f"{folder}/home", *forced]


def deploy(
    transport: Transport,
    device_name: str,
    cache_dir: Path,
    options: DeployOptions | None = None,
    say: Say = lambda sentence: None,
    limits: SessionLimits | None = None,
) -> Deployed:
    """Bring agent and runtime to a device, only what is missing, and prove with a canary that they work.

    A deployment that no longer works is sent again. The runtime is chosen by `choose_runtime`; `cache_dir`
    keeps the bundle where one has to be built.
    Raises: `DeviceError` when the device refuses, has no room, or fails the canary (then nothing counts as deployed).
    """
    options = options or DeployOptions()
    _make_folder(transport, device_name)
    known = _still_good(transport, device_name, options)
    if known is not None:
        say(f"agent and runtime are already there ({known.reason})")
        try:
            return _proved(transport, device_name, known, [], limits)
        except DeviceError as error:
            transport.run(["true"], _COMMAND_S)  # raises when it is the device that is gone
            say(f"they do not work any more ({error}); choosing again")
    choice = choose_runtime(transport, device_name, options.python, options.runtime, options.bundle, cache_dir, say)
    sent = _bring_agent(transport, device_name)
    sent += _bring_bundle(transport, device_name, choice, say, again=known is not None)
    return _proved(transport, device_name, _deployment(choice, options), sent, limits)


def _proved(
    transport: Transport,
    device_name: str,
    chosen: Deployment,
    sent: Sequence[tuple[str, int]],
    limits: SessionLimits | None,
) -> Deployed:
    """Deployed from here on: the canary has lived."""
    with AgentSession(transport.open_stream(_argv(transport, chosen)), device_name, limits) as session:
        reply = send_canary(session, device_name)
        known = replace(
            chosen, runtime=session.agent.get("runtime"), runtime_version=session.agent.get("runtime_version")
        )
    write_deployment(transport, known)
    keep = [known.agent, *([known.bundle] if known.bundle else [])]
    _checked(transport.run(["sh", "-c", _TIDY, "sh", transport.agent_dir, *keep], _COMMAND_S), "tidy up", device_name)
    names, sizes = tuple(name for name, _ in sent), sum(size for _, size in sent)
    return Deployed(known, names, sizes, float(reply["median_ms"]))


def agent_status(transport: Transport, device_name: str) -> AgentStatus:
    deployment = read_deployment(transport, device_name)
    current = deployment is not None and deployment.agent_sha256 == sha256_of(build_agent_zipapp())
    used_kib = free_kib = None
    if deployment is not None:
        said = transport.run(["sh", "-c", _DISK, "sh", transport.agent_dir], _COMMAND_S).stdout
        lines = said.decode(errors="replace").split("\n")
        used_kib = _kib(lines[0])
        free_kib = _kib(lines[1].split()[3]) if len(lines) > 1 and len(lines[1].split()) > 3 else None
    return AgentStatus(transport.agent_dir, deployment, current, used_kib, free_kib)


def remove_agent(transport: Transport, device_name: str) -> bool:
    """Remove all of edgewright's files from the device, including deliveries, and end running agents.

    Returns: whether there was anything.
    """
    folder = transport.agent_dir
    there = transport.run(["test", "-e", folder], _COMMAND_S).returncode == 0
    # First: an agent that lived on without its files would write new ones, and report what it lacks as a model's fault.
    _checked(transport.run(["sh", "-c", _END_AGENTS, "sh", folder], _COMMAND_S), "end the agent", device_name)
    _checked(transport.run(["rm", "-rf", folder], _UNPACK_S), f"remove {folder}", device_name)
    if transport.run(["test", "-e", folder], _COMMAND_S).returncode == 0:
        raise DeviceError(f"{folder} on device {device_name!r} is still there; does another user own files in it?")
    return there


def _kib(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None


def _make_folder(transport: Transport, device_name: str) -> None:
    folder = transport.agent_dir
    done = transport.run(["sh", "-c", _MAKE_FOLDER, "sh", folder], _COMMAND_S)
    _checked(done, f"make the private folder {folder}", device_name)


def _still_good(transport: Transport, device_name: str, options: DeployOptions) -> Deployment | None:
    """The deployment that is there, if it is what would be deployed now; its files are hashed on the device."""
    try:
        known = read_deployment(transport, device_name)
    except DeviceError:  # another version's: it is replaced
        return None
    asked = options.python is not None or options.bundle is not None or options.runtime is not None
    if known is None or asked or known.agent_sha256 != sha256_of(build_agent_zipapp()):
        return None
    if _hash_on_device(transport, f"{transport.agent_dir}/{known.agent}") != known.agent_sha256:
        return None
    if known.bundle and transport.run(["test", "-e", f"{transport.agent_dir}/{known.bundle}/run"], 60).returncode:
        return None
    return known


def _bring_agent(transport: Transport, device_name: str) -> list[tuple[str, int]]:
    content = build_agent_zipapp()
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / _agent_name()
        write_atomic(local, content)
        return _bring(transport, device_name, local, sha256_of(content))


def _agent_name() -> str:
    return f"agent-{sha256_of(build_agent_zipapp())[:16]}.pyz"


def _bring(transport: Transport, device_name: str, local: Path, sha256: str) -> list[tuple[str, int]]:
    """Push a file unless the device has it, by its hash there. Returns: what was sent, and its size."""
    target = f"{transport.agent_dir}/{local.name}"
    if _hash_on_device(transport, target) == sha256:
        return []
    transport.push(local, target, 0o600)
    _check_arrival(transport, device_name, target, sha256)
    return [(local.name, local.stat().st_size)]


def _check_arrival(transport: Transport, device_name: str, target: str, sha256: str) -> None:
    arrived = _hash_on_device(transport, target)
    if arrived is None:
        raise DeviceError(f"device {device_name!r} cannot hash {target}: it needs the program sha256sum (coreutils)")
    if arrived != sha256:
        transport.run(["rm", "-f", target], _COMMAND_S)
        raise DeviceError(
            f"{target} arrived on device {device_name!r} with sha256 {arrived} instead of {sha256}; "
            "check its disk and free space, and deploy again"
        )


def _hash_on_device(transport: Transport, path: str) -> str | None:
    done = transport.run(["sha256sum", path], _COMMAND_S)
    return done.stdout.decode(errors="replace").lstrip("\\").split(" ")[0] if done.returncode == 0 else None


def _bring_bundle(
    transport: Transport, device_name: str, choice: Choice, say: Say, again: bool
) -> list[tuple[str, int]]:
    """`again`: replaces one that is there and does not work."""
    if choice.bundle is None:
        return []
    folder, name = transport.agent_dir, f"bundle-{choice.bundle.sha256[:16]}"
    if not again and transport.run(["test", "-e", f"{folder}/{name}/run"], _COMMAND_S).returncode == 0:
        return []
    say(f"sending the runtime bundle ({choice.bundle.size_bytes / 2**20:.1f} MiB)")
    packed = f"{folder}/.{name}.tar.gz"
    transport.push(choice.bundle.path, packed, 0o600)
    _check_arrival(transport, device_name, packed, choice.bundle.sha256)
    argv = ["sh", "-c", _UNPACK, "sh", packed, f"{folder}/.{name}", f"{folder}/{name}"]
    _checked(transport.run(argv, _UNPACK_S), "unpack the runtime bundle", device_name)
    return [(name, choice.bundle.size_bytes)]


def _bundle_name(choice: Choice) -> str | None:
    return None if choice.bundle is None else f"bundle-{choice.bundle.sha256[:16]}"


def _deployment(choice: Choice, options: DeployOptions) -> Deployment:
    return Deployment(
        agent=_agent_name(),
        agent_sha256=sha256_of(build_agent_zipapp()),
        agent_version=AGENT_VERSION,
        protocol=PROTOCOL_VERSION,
        argv=tuple(choice.argv),
        runtime=None,
        runtime_version=None,
        reason=choice.reason,
        bundle=_bundle_name(choice),
        forced_runtime=options.runtime,
    )


def _checked(done: Completed, what: str, device_name: str) -> None:
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-400:]
        raise DeviceError(f"cannot {what} on device {device_name!r}: {said or f'exit code {done.returncode}'}")

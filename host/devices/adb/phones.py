"""The phones that adb sees, and a sentence with the next step for each that cannot be used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import DeviceError, InputError
from .server import REPLY_S, LinkError, ask_server, server_trouble

_IN_SYSTEM = {
    "recovery": "adb -s {serial} reboot",
    "rescue": "adb -s {serial} reboot",
    "sideload": "adb -s {serial} reboot",
    "bootloader": "fastboot -s {serial} reboot",
}
_NO_SERIAL = "(no serial number)"  # as adb lists an empty one
_SWITCH_ON = "switch on Developer options > USB debugging on the phone and plug it in"


@dataclass(frozen=True)
class Phone:
    """A phone as the adb server lists it; `state` is adb's word, "device" for one that can be used.

    `transport_id` tells phones of one serial apart, until they are plugged in again.
    """

    serial: str
    state: str
    model: str | None = None
    transport_id: int | None = None

    @property
    def usable(self) -> bool:
        return self.state == "device"

    @property
    def is_coming_up(self) -> bool:
        """Whether it may become usable in a moment without help."""
        return self.state in ("offline", "connecting", "authorizing")

    def __str__(self) -> str:
        model = f"{self.model}, " if self.model else ""
        return f"{shown(self.serial)} ({model}{shown(self.state)})"

    def is_named(self, name: str) -> bool:
        """Whether it is the phone of a serial, `transport:ID` or `model:NAME`."""
        if name == self.serial:
            return True
        kind, _, value = name.partition(":")
        if kind == "transport":
            return value.isdecimal() and int(value) == self.transport_id
        return kind == "model" and self.model is not None and _alike(value) == _alike(self.model)


def _alike(model: str) -> str:
    """adb writes a space as an underscore."""
    return model.replace("_", " ").casefold()


def attached_phones(timeout_s: float = REPLY_S) -> tuple[Phone, ...]:
    """Every phone the adb server knows, in its order. Raises `DeviceError` when there is no talking to the server."""
    try:
        short, long = ask_server("host:devices", timeout_s), ask_server("host:devices-l", timeout_s)
    except LinkError as error:
        raise server_trouble(error) from error
    lines = [line.rpartition("\t") for line in short.splitlines()]
    told = long.splitlines()
    return tuple(
        _phone(serial, state, index, told) for index, (serial, tab, state) in enumerate(lines) if tab and serial
    )


def _phone(serial: str, state: str, index: int, told: Sequence[str]) -> Phone:
    """With what the long list says on the line of the same number, or on the first one of this serial."""
    own = [line for line in (*told[index : index + 1], *told) if line.startswith((serial + " ", serial + "\t"))]
    line = own[0] if own else ""
    model, transport = re.search(r" model:(\S+)", line), re.search(r" transport_id:([0-9]+)", line)
    return Phone(
        serial,
        state,
        shown(model[1].replace("_", " ")) if model else None,
        int(transport[1]) if transport else None,
    )


def choose_serial() -> str:
    """The name of the only usable phone: its serial; where others share that, its model or its transport.

    Raises `InputError`, naming all that are attached, when there is not one.
    """
    phones = attached_phones()
    usable = [phone for phone in phones if phone.usable]
    if len(usable) == 1:
        return name_of(usable[0], phones)
    if not phones:
        raise InputError(
            f"no phone is attached; {_SWITCH_ON}, or add one on the network with: "
            "edgewright device add NAME adb://HOST:PORT"
        )
    commands = " or ".join(_add_command(name_of(phone, phones)) for phone in usable or phones)
    if not usable:
        raise InputError(
            f"none of the attached phones can be used: {listed(phones)}; add one with: {commands}; "
            "edgewright device check NAME then says what it lacks"
        )
    raise InputError(
        f"{len(usable)} phones match; attached: {listed(phones)}; choose one with: {commands}"
    )


def _add_command(name: str) -> str:
    """For people to paste: whatever a serial has in it stays one word."""
    return f"edgewright device add NAME {shlex.quote('adb://' + shown(name))}"


def name_of(phone: Phone, phones: Sequence[Phone]) -> str:
    """What means this one of `phones` alone, the most lasting first: its serial, its model, its transport."""
    names = [phone.serial, *([f"model:{phone.model}"] if phone.model else []), f"transport:{phone.transport_id}"]
    names = names[1:] if phone.serial == _NO_SERIAL else names
    return next((name for name in names if [each for each in phones if each.is_named(name)] == [phone]), names[-1])


def listed(phones: Sequence[Phone]) -> str:
    """For a sentence; those that share a serial with their transports."""
    serials = [phone.serial for phone in phones]
    return ", ".join(
        f"{phone} as transport:{phone.transport_id}" if serials.count(phone.serial) > 1 else str(phone)
        for phone in phones
    ) or "none"  # fmt: skip


def find_phone(name: str, timeout_s: float = REPLY_S) -> Phone | None:
    """The phone of a serial, `transport:ID` or `model:NAME`; None where it is not attached.

    Raises `InputError` where several could be meant, `DeviceError` when there is no talking to the server.
    """
    phones = attached_phones(timeout_s)
    named = [phone for phone in phones if phone.is_named(name)]
    if len(named) > 1:
        commands = " or ".join(_add_command(name_of(phone, phones)) for phone in named)
        raise InputError(
            f"{len(named)} phones match {shown(name)!r}: {listed(named)}; choose one with: {commands}"
        )
    return named[0] if named else None


def not_attached(serial: str, device_name: str, said: str = "") -> DeviceError:
    """The sentence for a serial that adb does not know; `said` is the result of an attempt to connect to it."""
    because = f" ({said})" if said else ""
    which = shown(serial) if is_selector(serial) else f"with serial {shown(serial)}"
    return DeviceError(
        f"device {device_name!r}: no phone {which} is attached{because}; "
        f"attached: {listed(attached_phones())}; {_SWITCH_ON}, then: edgewright device check {device_name}"
    )


def unusable(phone: Phone, device_name: str) -> DeviceError:
    """The sentence for a phone in any state but "device"."""
    which = f"device {device_name!r}: phone {shown(phone.serial)}"
    then = f"then: edgewright device check {device_name}"
    state, quoted = shown(phone.state), shlex.quote(phone.serial)
    if state in ("unauthorized", "authorizing"):
        return DeviceError(
            f'{which} has not allowed this computer to use it ({state}); unlock it, accept the dialog "Allow USB '
            f'debugging?" with "Always allow from this computer", {then}'
        )
    if state.startswith("no permissions"):
        return DeviceError(
            f"{which} may not be opened by this user ({state}); install the udev rules with: sudo apt install "
            f"android-sdk-platform-tools-common, and sudo usermod -aG plugdev $USER; log in again, replug it, {then}"
        )
    if state in _IN_SYSTEM:
        command = _IN_SYSTEM[state].format(serial=quoted)
        return DeviceError(f"{which} is in {state} mode, which runs no commands; start Android with: {command}, {then}")
    if state in ("offline", "connecting"):
        again = f"adb disconnect {quoted}" if is_network_serial(phone.serial) else "replug its cable"
        return DeviceError(
            f"{which} is attached but does not answer ({state}); wait for it to start, else restart it or renew the "
            f"connection ({again}), {then}"
        )
    return DeviceError(f"{which} is in the state {state!r} and cannot be used; restart it and replug its cable, {then}")


def is_selector(name: str) -> bool:
    """Whether it is `transport:ID` or `model:NAME`, and no serial."""
    return name.startswith(("transport:", "model:"))


def is_network_serial(serial: str) -> bool:
    """Whether it is HOST:PORT, which adb can connect to."""
    is_address = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", serial) is not None
    return is_address and not is_selector(serial)


def shown(text: str) -> str:
    """Text from a device as it may be printed."""
    return text if text.isprintable() else repr(text)


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
_SWITCH_ON = "switch on Developer options > USB debugging on the phone and plug it in"


@dataclass(frozen=True)
class Phone:
    """A phone as the adb server lists it; `state` is adb's word, "device" for one that can be used."""

    serial: str
    state: str
    model: str | None = None

    @property
    def usable(self) -> bool:
        return self.state == "device"

    @property
    def is_coming_up(self) -> bool:
        """Whether it may become usable by itself in a moment."""
        return self.state in ("offline", "connecting", "authorizing")

    def __str__(self) -> str:
        model = f"{self.model}, " if self.model else ""
        return f"{shown(self.serial)} ({model}{shown(self.state)})"


def attached_phones(timeout_s: float = REPLY_S) -> tuple[Phone, ...]:
    """Every phone the adb server knows, in its order. Raises `DeviceError` when there is no talking to the server."""
    try:
        short, long = ask_server("host:devices", timeout_s), ask_server("host:devices-l", timeout_s)
    except LinkError as error:
        raise server_trouble(error) from error
    lines = [line.rpartition("\t") for line in short.splitlines()]
    return tuple(Phone(serial, state, _model(serial, long)) for serial, tab, state in lines if tab and serial)


def choose_serial() -> str:
    """The serial of the only usable phone. Raises `InputError`, naming all that are attached, when there is not one."""
    phones = attached_phones()
    usable = [phone for phone in phones if phone.usable]
    if len(usable) == 1:
        return usable[0].serial
    if not phones:
        raise InputError(
            f"no phone is attached; {_SWITCH_ON}, or add one on the network with: "
            "edgewright device add NAME adb://HOST:PORT"
        )
    commands = " or ".join(_add_command(phone.serial) for phone in usable or phones)
    if not usable:
        raise InputError(
            f"none of the attached phones can be used: {listed(phones)}; add one with: {commands}; "
            "edgewright device check NAME then says what it lacks"
        )
    raise InputError(
        f"{len(usable)} phones could be meant; attached: {listed(phones)}; say which one with: {commands}"
    )


def _add_command(serial: str) -> str:
    """For people to paste: whatever a serial has in it stays one word."""
    return f"edgewright device add NAME {shlex.quote('adb://' + shown(serial))}"


def listed(phones: Sequence[Phone]) -> str:
    return ", ".join(map(str, phones)) or "none"


def find_phone(serial: str, timeout_s: float = REPLY_S) -> Phone | None:
    """Raises `DeviceError` when there is no talking to the server."""
    return next((phone for phone in attached_phones(timeout_s) if phone.serial == serial), None)


def not_attached(serial: str, device_name: str, said: str = "") -> DeviceError:
    """The sentence for a serial adb does not know; `said` is what an attempt to connect to it brought."""
    because = f" ({said})" if said else ""
    return DeviceError(
        f"device {device_name!r}: no phone with serial {shown(serial)} is attached{because}; "
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


def is_network_serial(serial: str) -> bool:
    """Whether it is HOST:PORT, which adb can connect to."""
    return re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", serial) is not None


def shown(text: str) -> str:
    """Text from a device as it may be printed."""
    return text if text.isprintable() else repr(text)


def _model(serial: str, long: str) -> str | None:
    lines = (line for line in long.splitlines() if line.startswith((serial + " ", serial + "\t")))
    found = re.search(r" model:(\S+)", next(lines, ""))
    return shown(found[1].replace("_", " ")) if found else None

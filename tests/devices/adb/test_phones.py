"""Which phone is meant, where some share a serial: what adb lists is pretended, since no rig has two alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from edgewright.devices.adb.phones import Phone, attached_phones, choose_serial, find_phone
from edgewright.devices.adb.transport import AdbTransport, connect_adb
from edgewright.devices.registry import parse_uri
from edgewright.errors import DeviceError, InputError

from tests.devices.adb.test_faults import PretendServer, okay

TWINS = "0123456789ABCDEF\tdevice\n0123456789ABCDEF\tdevice\nR58\toffline\n"
TWINS_LONG = (
    "0123456789ABCDEF       device usb:1-1 product:a model:Tab_A device:a transport_id:3\n"
    "0123456789ABCDEF       device usb:1-2 product:b model:Tab_B device:b transport_id:4\n"
    "R58                    offline usb:1-3 transport_id:9\n"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendServer]:
    pretended = PretendServer()
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(pretended.port))
    yield pretended
    pretended.close()


def connected(uri: str) -> AdbTransport:
    return connect_adb(parse_uri(uri), "tablet")


def test_phones_of_one_serial_are_told_apart(server: PretendServer) -> None:
    server.attach(TWINS, TWINS_LONG)
    assert attached_phones() == (
        Phone("0123456789ABCDEF", "device", "Tab A", 3),
        Phone("0123456789ABCDEF", "device", "Tab B", 4),
        Phone("R58", "offline", None, 9),
    )


def test_a_shared_serial_is_refused_with_what_tells_the_phones_apart(server: PretendServer) -> None:
    server.attach(TWINS, TWINS_LONG)
    with pytest.raises(InputError) as refused:
        connected("adb://0123456789ABCDEF")
    assert str(refused.value) == (
        "2 phones answer to '0123456789ABCDEF': 0123456789ABCDEF (Tab A, device) as transport:3, 0123456789ABCDEF "
        "(Tab B, device) as transport:4; say which one with: edgewright device add NAME 'adb://model:Tab A' or "
        "edgewright device add NAME 'adb://model:Tab B'"
    )


@pytest.mark.parametrize("uri", ["adb://transport:4", "adb://model:Tab B", "adb://model:tab_b"])
def test_one_of_them_is_reached_by_its_transport(server: PretendServer, uri: str) -> None:
    server.attach(TWINS, TWINS_LONG)
    server.answers["host:transport-id:4"] = okay()
    assert connected(uri).serial == "transport:4"
    assert "host:transport-id:4" in server.asked
    assert not any(service.startswith("host:transport:") for service in server.asked)


def test_a_model_is_reached_by_a_serial_that_lasts(server: PretendServer) -> None:
    server.attach("A\tdevice\nB\tdevice\n", "A device model:One transport_id:1\nB device model:Two transport_id:2\n")
    assert connected("adb://model:One").serial == "A"


def test_two_phones_of_one_model_and_serial_have_only_their_transports(server: PretendServer) -> None:
    server.attach(TWINS, TWINS_LONG.replace("Tab_B", "Tab_A"))
    with pytest.raises(InputError, match=r"2 phones answer to 'model:Tab A'.* adb://transport:3 or .* adb://transport:4"):
        find_phone("model:Tab A")


def test_the_only_phone_is_written_down_by_what_means_it_alone(server: PretendServer) -> None:
    server.attach("(no serial number)\tdevice\n", "(no serial number) device usb:1-1 model:Tab_A transport_id:3\n")
    assert choose_serial() == "model:Tab A"
    server.attach("A\tdevice\nA\tunauthorized\n", "A device model:X transport_id:1\nA unauthorized transport_id:2\n")
    assert choose_serial() == "model:X"


@pytest.mark.parametrize("uri", ["adb://transport:77", "adb://model:Pixel 9"])
def test_one_that_is_not_attached_is_no_address_to_connect_to(server: PretendServer, uri: str) -> None:
    server.attach(TWINS, TWINS_LONG)
    with pytest.raises(DeviceError, match=f"no phone {uri.removeprefix('adb://')} is attached"):
        connected(uri)
    assert not any(service.startswith("host:connect") for service in server.asked)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("offline", "replug its cable"),
        ("unauthorized", "accept the dialog"),
        ("recovery", "start Android with: adb -s R58 reboot"),
        ("sideload", "start Android with: adb -s R58 reboot"),
        ("bootloader", "start Android with: fastboot -s R58 reboot"),
        ("no permissions (user in plugdev group; are your udev rules wrong?)", "install the udev rules"),
    ],
)
def test_each_state_has_its_next_step(
    server: PretendServer, monkeypatch: pytest.MonkeyPatch, state: str, step: str
) -> None:
    monkeypatch.setattr("edgewright.devices.adb.transport._SETTLE_S", 0.0)
    server.attach(f"R58\t{state}\n", f"R58 {state} transport_id:1\n")
    with pytest.raises(DeviceError, match="device 'tablet': phone R58") as refused:
        connected("adb://R58")
    assert step in str(refused.value)


def test_wireless_names_are_serials(server: PretendServer) -> None:
    name = "adb-R58-xYz1._adb-tls-connect._tcp"
    server.attach(f"{name}\tdevice\n", f"{name} device model:X transport_id:1\n")
    server.answers[f"host:transport:{name}"] = okay()
    assert connected(f"adb://{name}").serial == name

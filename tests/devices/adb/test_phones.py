"""Which phone is meant, and in which state it is. adb's list is faked, because no rig has two phones alike."""

from __future__ import annotations

import threading

import pytest
from edgewright.devices.adb.phones import Phone, attached_phones, choose_serial, find_phone
from edgewright.devices.adb.transport import AdbTransport, connect_adb
from edgewright.devices.registry import Address, parse_uri
from edgewright.errors import DeviceError, InputError

from tests.devices.adb.pretend_server import PretendServer, okay

# --- which phones there are, and in which state ---


def test_phones_are_listed_with_state_and_model_whatever_their_serials(server: PretendServer) -> None:
    long = (
        "A                      device usb:1-1 product:husky model:Pixel_8 device:husky transport_id:1\n"
        "B C;$(x)               unauthorized usb:1-2 transport_id:2\n"
    )
    server.attach("A\tdevice\nB C;$(x)\tunauthorized\n0x\tno permissions (missing udev rules?); see [http://x]\n", long)
    assert attached_phones() == (
        Phone("A", "device", "Pixel 8", 1),
        Phone("B C;$(x)", "unauthorized", None, 2),
        Phone("0x", "no permissions (missing udev rules?); see [http://x]"),
    )


def test_the_only_usable_phone_is_chosen(server: PretendServer) -> None:
    server.attach("A\toffline\nB\tdevice\n")
    assert choose_serial() == "B"
    server.answers |= {"host:transport:B": okay()}
    assert connect_adb(Address("adb"), "pixel").serial == "B"


def test_several_phones_are_refused_by_name_with_the_command_for_each(server: PretendServer) -> None:
    server.attach("A\tdevice\nB\tdevice\nC\toffline\n", "A    device model:Pixel_8\n")
    with pytest.raises(InputError) as refused:
        choose_serial()
    assert str(refused.value) == (
        "2 phones match; attached: A (Pixel 8, device), B (device), C (offline); choose one with: "
        "edgewright device add NAME adb://A or edgewright device add NAME adb://B"
    )


def test_no_usable_phone_is_refused(server: PretendServer) -> None:
    server.attach("C\tunauthorized\n")
    with pytest.raises(InputError, match=r"none of the attached phones can be used: C \(unauthorized\).*adb://C"):
        choose_serial()
    server.attach("")
    with pytest.raises(InputError, match="no phone is attached; .*USB debugging"):
        choose_serial()


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("unauthorized", 'has not allowed this computer.*unlock it, accept the dialog "Allow USB debugging'),
        ("no permissions (user in plugdev group?)", r"may not be opened by this user.*sudo apt install .*plugdev"),
        ("recovery", "in recovery mode.*start Android with: adb -s A reboot"),
        ("sideload", "in sideload mode.*adb -s A reboot"),
        ("bootloader", "in bootloader mode.*fastboot -s A reboot"),
        ("host", "in the state 'host'.*restart it"),
    ],
)
def test_each_state_has_its_sentence_and_the_next_step(server: PretendServer, state: str, sentence: str) -> None:
    server.attach(f"A\t{state}\n")
    with pytest.raises(DeviceError, match=f"device 'pixel': phone A .*{sentence}.*then: edgewright device check pixel"):
        connect_adb(Address("adb", serial="A"), "pixel")


def test_a_phone_that_is_starting_is_waited_for(server: PretendServer) -> None:
    server.attach("A\toffline\n")
    timer = threading.Timer(0.4, lambda: server.attach("A\tdevice\n"))
    timer.start()
    assert connect_adb(Address("adb", serial="A"), "pixel").serial == "A"
    timer.join()


def test_a_phone_that_stays_offline_has_its_sentence(server: PretendServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewright.devices.adb.transport._SETTLE_S", 0.2)
    server.attach("A\toffline\n10.0.0.1:5555\toffline\n")
    with pytest.raises(DeviceError, match=r"does not answer \(offline\).*replug its cable"):
        connect_adb(Address("adb", serial="A"), "pixel")
    with pytest.raises(DeviceError, match="adb disconnect 10.0.0.1:5555"):
        connect_adb(Address("adb", serial="10.0.0.1:5555"), "pixel")


@pytest.mark.parametrize(
    "serial", ["no such", "A;reboot", "$(reboot)", "'\"", "A\nhost:kill", "x:kill", "-s", "../A", "é"]
)
def test_a_strange_serial_is_an_unknown_phone_and_never_sent(server: PretendServer, serial: str) -> None:
    with pytest.raises(DeviceError, match=r"no phone with serial .* is attached; attached: A \(device\)"):
        connect_adb(Address("adb", serial=serial), "pixel")
    assert set(server.asked) == {"host:devices", "host:devices-l"}


def test_a_phone_on_the_network_is_connected_to_once(server: PretendServer) -> None:
    server.answers["host:connect:10.0.0.1:5555"] = okay("failed to connect to '10.0.0.1:5555': No route to host")
    with pytest.raises(DeviceError, match=r"10.0.0.1:5555 is attached \(failed to connect.*No route to host\)"):
        connect_adb(Address("adb", serial="10.0.0.1:5555"), "pixel")
    assert server.asked.count("host:connect:10.0.0.1:5555") == 1


def test_an_old_android_is_refused(server: PretendServer) -> None:
    server.answers["host:features"] = okay("cmd")
    with pytest.raises(DeviceError, match=r"lacks adb's shell protocol 2 \(its features: cmd\); Android 7 or newer"):
        connect_adb(Address("adb", serial="A"), "pixel")


# --- phones that share a serial ---

TWINS = "0123456789ABCDEF\tdevice\n0123456789ABCDEF\tdevice\nR58\toffline\n"
TWINS_LONG = (
    "0123456789ABCDEF       device usb:1-1 product:a model:Tab_A device:a transport_id:3\n"
    "0123456789ABCDEF       device usb:1-2 product:b model:Tab_B device:b transport_id:4\n"
    "R58                    offline usb:1-3 transport_id:9\n"
)


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
        "2 phones match '0123456789ABCDEF': 0123456789ABCDEF (Tab A, device) as transport:3, 0123456789ABCDEF "
        "(Tab B, device) as transport:4; choose one with: edgewright device add NAME 'adb://model:Tab A' or "
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
    with pytest.raises(InputError, match=r"2 phones match 'model:Tab A'.* adb://transport:3 or .* adb://transport:4"):
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

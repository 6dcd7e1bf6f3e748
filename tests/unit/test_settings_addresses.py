"""Addresses, ports and places that cannot be meant: refused at their line, and those that can be meant are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings import Settings, load_settings

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "line.example.toml").read_text()
HOSTS = {
    "controller.host": ("[controller]", 'host = "192.168.10.10"'),
    "images.ftp.host": ("[images.ftp]", 'host = "192.168.10.1"'),
    "output.host": ("[output]", 'host = "192.168.20.20"'),
    "web.host": ("[web]", 'host = "127.0.0.1"'),
    "metrics.host": ("[metrics]", 'host = "127.0.0.1"'),
    "mqtt.host": ("[mqtt]", 'host = "192.168.30.30"'),
    "sparkplug.host": ("[sparkplug]", 'host = "192.168.30.31"'),
}
LISTENS = {"images.ftp.host", "web.host", "metrics.host"}


def with_keys(*changes: tuple[str, str]) -> str:
    """The example with other keys: (``table.key``, value), also those that stand behind a ``#``."""
    lines = EXAMPLE.split("\n")
    for name, value in changes:
        table, key = name.rsplit(".", 1)
        header = next(at for at, line in enumerate(lines) if re.fullmatch(rf"#?\[+{re.escape(table)}\]+", line))
        at = next(at for at in range(header, len(lines)) if re.match(rf"#?{key} = ", lines[at]))
        lines[header], lines[at] = lines[header].removeprefix("#"), f"{key} = {value}"
    return "\n".join(lines)


def loaded(tmp_path: Path, *changes: tuple[str, str]) -> Settings:
    path = tmp_path / "line.toml"
    path.write_text(with_keys(*changes))
    path.chmod(0o640)
    return load_settings(path)


def refused(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, *changes)
    return [line.removeprefix(f"{tmp_path}/line.toml:") for line in str(caught.value).split("\n")]


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize(
    "text",
    [
        "192.168.10.310",
        "192.168.10",
        "192.168.010.010",
        "192.168.10.10.10",
        "192.168.10.10:8500",
        "192.168.10.10/24",
        "http://192.168.10.10",
        "line3.10",
        "line 3",
        "-line3",
        "a..b",
        "fe80::12345",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_what_is_no_address_and_no_name_is_refused(tmp_path: Path, key: str, text: str) -> None:
    found = refused(tmp_path, (key, f'"{text}"'))

    assert any(f"{key}: expected an address" in line and f'(got "{text}")' in line for line in found), found


@pytest.mark.parametrize("key", HOSTS)
def test_a_name_that_no_name_server_can_be_asked_for_is_refused(tmp_path: Path, key: str) -> None:
    name = f"{'a' * 64}.plant.example"

    assert any(f"{key}: expected an address" in line for line in refused(tmp_path, (key, f'"{name}"')))


@pytest.mark.parametrize("key", sorted(set(HOSTS) - LISTENS))
@pytest.mark.parametrize("text", ["::", "0.1.2.3", "240.0.0.1"])
def test_an_address_that_no_device_has_is_refused_for_a_peer(tmp_path: Path, key: str, text: str) -> None:
    assert any(f"{key}: expected an address" in line for line in refused(tmp_path, (key, f'"{text}"')))


@pytest.mark.parametrize("key", HOSTS)
@pytest.mark.parametrize(
    "text", ["10.1.2.3", "fe80::1%eth0", "::ffff:10.1.2.3", "cvx-line_3.plant.example", "Kamera", "cvx3.", "localhost"]
)
def test_an_address_or_a_name_is_taken(tmp_path: Path, key: str, text: str) -> None:
    section, name = key.rsplit(".", 1)
    node = loaded(tmp_path, (key, f'"{text}"'))
    for step in section.split("."):
        node = getattr(node, step)

    assert getattr(node, name) == text


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("webhook.url", "https://192.168.30.310/edge-agent"),
        ("webhook.url", "https:///edge-agent"),
        ("webhook.url", "https://mes:99999/"),
        ("webhook.url", "https://mes plant/"),
        ("webhook.url", "ftp://mes/"),
        ("lamp.device", "rfc2217://192.168.20.300:4001"),
        ("lamp.device", "rfc2217://192.168.20.30"),
        ("controller.serial.url", "socket://:4001"),
    ],
)
def test_a_url_without_a_usable_address_is_refused(tmp_path: Path, key: str, text: str) -> None:
    found = refused(tmp_path, (key, f'"{text}"'), ("images.ftp.allowed_peers", '["192.168.10.10"]'))

    assert any(re.search(rf"{re.escape(key)}: expected a (web address|serial port)", line) for line in found), found


OWN = "which is images.ftp.host: an address of this PC"
WRONG: dict[str, tuple[list[tuple[str, str]], list[str]]] = {
    "the controller is this PC": (
        [("controller.host", '"192.168.10.1"')],
        [f"controller.host: expected the address of the controller (got 192.168.10.1, {OWN})"],
    ),
    "the controller is this PC, written otherwise": (
        [("controller.host", '"::ffff:192.168.10.1"')],
        [f"controller.host: expected the address of the controller (got ::ffff:192.168.10.1, {OWN})"],
    ),
    "the controller is this PC, as its page knows it": (
        [("controller.host", '"192.168.30.1"'), ("web.host", '"192.168.30.1"')],
        ["controller.host: expected the address of the controller (got 192.168.30.1, which is web.host"],
    ),
    "the controller is the remote I/O": (
        [("controller.host", '"192.168.20.20"')],
        ["output.host: expected an address of its own (got 192.168.20.20, which is controller.host)"],
    ),
    "page and FTP at one port": (
        [("web.host", '"192.168.10.1"'), ("web.port", "2121")],
        ["web.port: expected a port of its own (got 2121, which is images.ftp.port)"],
    ),
    "page and FTP at one port, the page at every address": (
        [("web.host", '"0.0.0.0"'), ("web.port", "2121"), ("web.names", '["line7"]')],
        ["web.port: expected a port of its own (got 2121, which is images.ftp.port)"],
    ),
    "the page in the passive range": (
        [("web.host", '"192.168.10.1"'), ("web.port", "50003")],
        ["web.port: expected a port outside images.ftp.passive_ports, which are 50000 to 50015 (got 50003)"],
    ),
    "the FTP port in its own passive range": (
        [("images.ftp.passive_ports", "[2100, 2130]")],
        ["images.ftp.passive_ports: expected ports without images.ftp.port, which is 2121 (got 2100 to 2130)"],
    ),
    "page and metrics, one of them at every address": (
        [("metrics.host", '"0.0.0.0"'), ("metrics.port", "8480")],
        ["metrics.port: expected a port of its own (got 8480, which is web.port)"],
    ),
    "controller and remote I/O at one port of loopback": (
        [("controller.host", '"127.0.0.1"'), ("output.host", '"localhost"'), ("output.port", "8500")],
        ["output.port: expected a port of its own (got 8500, which is controller.port)"],
    ),
    "the page where the controller is": (
        [("controller.host", '"127.0.0.1"'), ("web.port", "8500")],
        ["controller.port: expected a port of its own (got 8500, which is web.port)"],
    ),
    "the broker where the remote I/O is": (
        [("mqtt.host", '"192.168.20.20"'), ("mqtt.port", "502")],
        ["mqtt.port: expected a port of its own (got 502, which is output.port)"],
    ),
    "the broker of Sparkplug where the remote I/O is": (
        [("sparkplug.host", '"192.168.20.20"'), ("sparkplug.port", "502")],
        ["sparkplug.port: expected a port of its own (got 502, which is output.port)"],
    ),
    "nobody takes the controller's images": (
        [("images.ftp.allowed_peers", '["192.168.11.0/24", "192.168.10.11"]')],
        ["images.ftp.allowed_peers: expected controller.host (192.168.10.10) among them, or this key left out"],
    ),
    "one serial port for two": (
        [("output.serial.device", '"/dev/ttyS1"'), ("lamp.device", '"/dev/ttyS1"')],
        ["lamp.device: expected a serial port of its own (got /dev/ttyS1, which is output.serial.device)"],
    ),
    "a register's number for a coil": (
        [("output.first_coil", "40001")],
        ["output.first_coil: expected the zero-based address of a coil (got 40001, a number of PLC documents"],
    ),
    "an input's number for its address": (
        [("output.mode_input", "10003")],
        ["output.mode_input: expected the zero-based address of an input (got 10003, a number of PLC documents: 10003"],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), WRONG.values(), ids=WRONG)
def test_one_place_belongs_to_one_thing(tmp_path: Path, changes: list[tuple[str, str]], expected: list[str]) -> None:
    found = refused(tmp_path, *changes)

    lines = with_keys(*changes).split("\n")
    assert [line.partition(": ")[2][: len(words)] for line, words in zip(found, expected, strict=True)] == expected
    for line in found:
        number, key = line.split(": ")[:2]
        assert lines[int(number) - 1].startswith(f"{key.rsplit('.', 1)[-1]} = ")


RIGHT: dict[str, list[tuple[str, str]]] = {
    "the same port at two addresses": [("web.host", '"192.168.30.1"'), ("web.port", "2121")],
    "a controller and an agent on loopback": [("controller.host", '"127.0.0.1"'), ("images.ftp.host", '"127.0.0.1"')],
    "a controller by its name": [
        ("controller.host", '"cvx3"'),
        ("images.ftp.allowed_peers", '["192.168.11.7"]'),
    ],
    "the controller's network": [("images.ftp.allowed_peers", '["192.168.10.0/24"]')],
    "two remote devices at the port of ours": [("mqtt.host", '"192.168.20.21"'), ("mqtt.port", "2121")],
    "JSON and Sparkplug to one broker": [("mqtt.host", '"192.168.30.30"'), ("sparkplug.host", '"192.168.30.30"')],
    "a WAGO's flags": [("output.first_coil", "12288"), ("output.mode_input", "12290")],
    "registers that lie high": [("output.first_register", "40001"), ("output.plc_register", "40100")],
    "two serial ports": [("output.serial.device", '"/dev/ttyS1"'), ("lamp.device", '"/dev/ttyS2"')],
}


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT)
def test_what_can_be_meant_is_taken(tmp_path: Path, changes: list[tuple[str, str]]) -> None:
    loaded(tmp_path, *changes)


def test_two_names_of_one_serial_port_are_one_port(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "usb-FTDI_A50285BI").symlink_to(tmp_path / "ttyUSB0")
    ports = [("output.serial.device", f'"{tmp_path}/ttyUSB0"'), ("lamp.device", f'"{tmp_path}/usb-FTDI_A50285BI"')]

    assert "lamp.device: expected a serial port of its own" in refused(tmp_path, *ports)[0]

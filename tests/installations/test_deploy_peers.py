"""What an installation narrows to its line: the unit's drop-in, the firewall's example, the rule of serial adapters."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge_agent.settings import Settings, load_settings
from edge_agent.tools.systemd_unit import unit_drop_in

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = (DEPLOY / "line.example.toml").read_text()
SERIAL = '[controller.serial]\nurl = "/dev/serial/by-id/usb-1"\n'
SENDER = ('#allowed_peers = ["192.168.10.10"]', 'allowed_peers = ["192.168.10.10", "192.168.11.0/24"]')
PRIVATE = "10.0.0.0/8"


def settings(tmp_path: Path, *changes: tuple[str, str], more: str = "") -> Settings:
    text = EXAMPLE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "line.toml").write_text(text + more)
    return load_settings(tmp_path / "line.toml")


def allowed(drop_in: str) -> list[str]:
    return [line.removeprefix("IPAddressAllow=") for line in drop_in.splitlines() if line.startswith("IPAddressAllow=")]


def test_only_the_peers_of_line_toml_are_allowed(tmp_path: Path) -> None:
    more = '\n[mqtt]\nhost = "192.168.30.30"\n[webhook]\nurl = "https://192.168.40.40:8443/in"\n'
    more += '[sparkplug]\nhost = "192.168.30.31"\n'

    drop_in = unit_drop_in(settings(tmp_path, more=more))

    assert allowed(drop_in) == ["", "localhost 192.168.10.10 192.168.20.20 192.168.30.30 192.168.30.31 192.168.40.40"]
    assert "DeviceAllow" not in drop_in
    assert "CAP_NET_BIND_SERVICE" not in drop_in


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('host = "192.168.20.20"', 'host = "remote-io.plant.example"', "is a name"),
        (
            'host = "127.0.0.1"\n# Its TCP port. Default 8480',
            'host = "10.20.1.7"\n# Its TCP port. Default 8480',
            "web.host",
        ),
    ],
)
def test_who_cannot_be_told_by_address_leaves_the_private_networks_open_and_says_why(
    tmp_path: Path, old: str, new: str, why: str
) -> None:
    drop_in = unit_drop_in(settings(tmp_path, (old, new)))

    assert why in drop_in
    assert PRIVATE in allowed(drop_in)[-1]


def test_a_serial_controller_and_a_low_port_get_what_they_need(tmp_path: Path) -> None:
    drop_in = unit_drop_in(settings(tmp_path, ("port = 2121", "port = 21"), SENDER, more=SERIAL))

    assert allowed(drop_in) == ["", "localhost 192.168.10.10 192.168.11.0/24 192.168.20.20"]
    assert "DeviceAllow=char-ttyUSB rw" in drop_in
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in drop_in
    assert drop_in.count("PrivateUsers=no") == 1


def test_the_unit_verifies_with_its_drop_in(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "edge-agent.service"
    unit.write_text((DEPLOY / "edge-agent.service").read_text().replace("/opt/edge-agent/bin/edge-agent", "/bin/true"))
    (tmp_path / "edge-agent.service.d").mkdir()
    drop_in = tmp_path / "edge-agent.service.d" / "line.conf"

    def verified(text: str) -> str:
        drop_in.write_text(text)
        ran = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
        return ran.stderr

    good = unit_drop_in(settings(tmp_path, ("port = 2121", "port = 21"), SENDER, more=SERIAL))
    assert verified(good) == ""
    assert "line.conf" in verified(good + "IPAddressAllow=nobody\n")  # the drop-in is what was looked at


def test_the_firewall_example_is_one() -> None:
    nft, unshare = shutil.which("nft", path="/usr/sbin:/usr/bin"), shutil.which("unshare")
    if nft is None or unshare is None:
        pytest.skip("nft or unshare is not installed")
    if subprocess.run([unshare, "-n", nft, "list", "ruleset"], capture_output=True, check=False).returncode:
        pytest.skip("no network name space of one's own here")

    ran = subprocess.run(
        [unshare, "-n", nft, "-c", "-f", str(DEPLOY / "edge-agent.nft")], capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_udev_rule_is_one() -> None:
    udevadm = shutil.which("udevadm")
    if udevadm is None or subprocess.run([udevadm, "verify", "--help"], capture_output=True, check=False).returncode:
        pytest.skip("udevadm verify is not there (systemd 254 has it)")

    ran = subprocess.run(
        [udevadm, "verify", str(DEPLOY / "edge-agent.rules")], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr

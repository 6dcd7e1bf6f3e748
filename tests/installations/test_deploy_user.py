"""deploy/install.sh for real, user and folders included, in a private view of this machine: it keeps nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.installations.test_deploy_install import SHARED, offer

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = """\
set -eu
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /var/lib
for at in etc usr/lib/sysusers.d usr/lib/tmpfiles.d usr/lib/udev/rules.d; do
    mkdir -p /opt/private/$at /$at
    cp -a /$at/. /opt/private/$at/
    mount --bind /opt/private/$at /$at
done
umask 077
"""
_SAYS = """
stat -c '%U:%G %a %n' /var/lib/edge-agent /var/lib/edge-agent/bundles /etc/edge-agent
runuser -u edge-agent -- /opt/edge-agent/bin/edge-agent
"""


def can_be_private() -> bool:
    needed = ("unshare", "runuser", "systemd-sysusers", "systemd-tmpfiles")
    if os.geteuid() != 0 or not all(map(shutil.which, needed)) or shutil.which("python3", path=SHARED) is None:
        return False
    ran = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/opt"], capture_output=True, check=False)
    return ran.returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_be_private(), reason="root, unshare, systemd's tools and a shared Python only"),
]


def privately(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", PRIVATE + script], capture_output=True, text=True, check=False, timeout=100
    )


def test_an_installation_by_root_under_a_closed_umask_is_the_services(tmp_path: Path) -> None:
    offer(tmp_path, "9.1")

    ran = privately(f"{tmp_path}/install.sh{_SAYS}")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "edge-agent:edge-agent 750 /var/lib/edge-agent",
        "edge-agent:edge-agent 750 /var/lib/edge-agent/bundles",
        "root:edge-agent 750 /etc/edge-agent",
        "edge-agent 9.1",
    ]


def test_a_version_that_the_services_user_cannot_start_is_not_switched_to(tmp_path: Path) -> None:
    offer(tmp_path, "9.1")

    ran = privately(f"chmod 0700 /opt; {tmp_path}/install.sh || {{ code=$?; ls /opt/edge-agent; exit $code; }}")

    assert ran.returncode == 77, ran.stderr
    assert "the user edge-agent cannot start version 9.1; the one in use stays" in ran.stderr
    assert "rm -r /opt/edge-agent/9.1" in ran.stderr
    assert ran.stdout == "9.1\nsetup\n", "no link was made"

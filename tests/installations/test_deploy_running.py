"""deploy/install.sh and uninstall.sh beside a line that runs: nobody restarts or stops it without being asked.

In a private view of this machine, as in test_deploy_user.py. systemd is a stand-in, for none can be booted there: it
says whether the service is active, and writes down what it was told.
"""

from __future__ import annotations

import os
import pty
import runpy
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.installations.test_deploy_install import DEPLOY, offer
from tests.installations.test_deploy_user import PRIVATE, can_be_private

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_be_private(), reason="root, unshare, systemd's tools and a shared Python only"),
]

_SYSTEMCTL = """\
#!/bin/sh
case $1 in
    is-active) cat /run/state ;;
    *)
        echo "$*" >> /run/told
        case $* in *--now*) echo inactive > /run/state ;; esac
        ;;
esac
"""
_MACHINE = """
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/bin
cp {at}/systemctl /run/bin/
PATH=/run/bin:$PATH
echo active > /run/state
: > /run/told
offer() {{ rm -rf {at}/now; cp -R {at}/$1 {at}/now; }}
told() {{ cat /run/told; : > /run/told; }}
"""


class Machine:
    """A PC on which the service is active; scripts run on it as root, each from a fresh state."""

    def __init__(self, at: Path) -> None:
        self.now = at / "now"
        self._begin = PRIVATE + _MACHINE.format(at=at)
        (at / "systemctl").write_text(_SYSTEMCTL)
        (at / "systemctl").chmod(0o755)
        for version in ("9.1", "9.2"):
            offer(at / version, version)

    def run(self, script: str, *, answer: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it; with an answer there is a terminal at which it is typed, else there is none."""
        if answer is None:
            return self._run(script, subprocess.DEVNULL)
        mine, theirs = pty.openpty()
        try:
            os.write(mine, f"{answer}\n".encode())
            return self._run(script, theirs)
        finally:
            for end in (mine, theirs):
                with suppress(OSError):
                    os.close(end)

    def _run(self, script: str, stdin: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", self._begin + script],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


UPGRADE = """
offer 9.1; {now}/install.sh --yes; told > /dev/null
offer 9.2; {now}/install.sh {options}
readlink /opt/edge-agent/bin
tail -n 1 /etc/systemd/system/edge-agent.service
ls -A /opt/edge-agent/9.2 | grep waits || true
told
"""
SWITCHED = ["9.2/bin", "# of version 9.2", "daemon-reload", "try-restart edge-agent.service"]
BESIDE = ["9.1/bin", "# of version 9.1", ".waits"]


@pytest.mark.parametrize(
    ("options", "answer", "then"),
    [("", None, BESIDE), ("", "n", BESIDE), ("", "", BESIDE), ("", "y", SWITCHED), ("--yes", None, SWITCHED)],
)
def test_an_upgrade_restarts_a_running_line_after_a_yes_alone(
    machine: Machine, options: str, answer: str | None, then: list[str]
) -> None:
    ran = machine.run(UPGRADE.format(now=machine.now, options=options), answer=answer)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == then
    assert "The line is running with edge-agent 9.1" in ran.stderr
    assert "output is REJECT from the stop until READY" in ran.stderr
    assert (f"{machine.now}/install.sh --yes" in ran.stderr) == (then is BESIDE)


def test_what_waits_beside_is_switched_to_by_the_command_that_was_named_and_back_again(machine: Machine) -> None:
    ran = machine.run(f"""
offer 9.1; {machine.now}/install.sh --yes
offer 9.2; {machine.now}/install.sh; told > /dev/null
{machine.now}/install.sh --yes
ls -A /opt/edge-agent/9.2 | grep waits || true
readlink /opt/edge-agent/bin; told
rm -rf {machine.now}
/opt/edge-agent/setup/install.sh --rollback || echo $?
told; readlink /opt/edge-agent/bin
/opt/edge-agent/setup/install.sh --rollback --yes
told; readlink /opt/edge-agent/bin
""")

    assert ran.returncode == 0, ran.stderr
    restarted = ["daemon-reload", "try-restart edge-agent.service"]
    assert ran.stdout.splitlines() == ["9.2/bin", *restarted, "75", "9.2/bin", *restarted, "9.1/bin"]
    assert "/opt/edge-agent/setup/install.sh --rollback --yes" in ran.stderr


STATE = """
mkdir -p /etc/edge-agent /etc/systemd/system/edge-agent.service.d /var/lib/edge-agent/archive /mnt/more
cat > /etc/edge-agent/line.toml <<'END'
[store]
journal = "/var/lib/edge-agent/journal.sqlite3"
archive = "/opt/images of parts"
[images]
spool = "/var/lib/edge-agent/spool"
[[bundle]]
path = "/var/lib/edge-agent/bundles/zipper"
END
mkdir -p "/opt/images of parts" /var/lib/edge-agent/bundles/zipper
head -c 3145728 /dev/zero > "/opt/images of parts/a.bmp"
head -c 65536 /dev/zero > /var/lib/edge-agent/journal.sqlite3
head -c 65536 /dev/zero > /var/lib/edge-agent/journal-000000000001-000000000009.sqlite3
echo [Service] > /etc/systemd/system/edge-agent.service.d/override.conf
"""
LOOK = """
find /opt /etc/systemd/system /usr/lib /usr/share/doc -name '*edge-agent*' ! -path '/opt/private*'
"""


def test_an_uninstallation_takes_all_that_was_installed_and_names_what_it_leaves(machine: Machine) -> None:
    ran = machine.run(f"""{STATE}
offer 9.1; {machine.now}/install.sh --yes
offer 9.2; {machine.now}/install.sh --yes; told > /dev/null
{machine.now}/uninstall.sh || echo $?
readlink /opt/edge-agent/bin; told
/opt/edge-agent/setup/uninstall.sh --yes
told {LOOK}
stat -c %n /etc/edge-agent/line.toml "/opt/images of parts/a.bmp" /var/lib/edge-agent/journal.sqlite3
""")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "75",
        "9.2/bin",
        "disable --now edge-agent.service",
        "disable --now edge-agent-backup.timer",
        "disable --now edge-agent-export.timer",
        "daemon-reload",
        "reset-failed edge-agent.service",
        "/etc/systemd/system/edge-agent.service.d",
        "/etc/edge-agent/line.toml",
        "/opt/images of parts/a.bmp",
        "/var/lib/edge-agent/journal.sqlite3",
    ]
    said = ran.stderr[ran.stderr.index("edge-agent is uninstalled") :].splitlines()
    left = [(line[:13].strip(), line[13:]) for line in said[1:]]
    commands = [words for size, words in left if not size and not words.startswith("the user")]
    assert commands == [
        "rm /var/lib/edge-agent/journal.sqlite3* /var/lib/edge-agent/journal-*.sqlite3",
        "rm -r '/opt/images of parts'",
        "rm -r /var/lib/edge-agent/bundles",
        "rm -r /var/lib/edge-agent",
        "rm -r /etc/edge-agent",
        "rm -r /etc/systemd/system/edge-agent.service.d",
        "userdel edge-agent",
    ]
    assert left[0] == ("128 KiB", "the journal: /var/lib/edge-agent (2 of the files there)")
    assert left[2] == ("3.0 MiB", "the images in the archive: /opt/images of parts")


def test_the_commands_that_an_uninstallation_names_leave_nothing(machine: Machine) -> None:
    ran = machine.run(f"""{STATE}
rm /var/lib/edge-agent/journal-*.sqlite3  # of a line that was never rotated there is no such file to remove
offer 9.1; {machine.now}/install.sh --yes
{machine.now}/uninstall.sh --yes 2> /run/said
sed -n 's/^             \\(rm\\|userdel\\)/\\1/p' /run/said > /run/commands
sh -e /run/commands
{LOOK}
ls -A /etc/edge-agent /var/lib/edge-agent '/opt/images of parts' 2> /dev/null || true
grep edge-agent /etc/passwd || true
""")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize(("answer", "left"), [("n", "9.1/bin"), ("y", "")])
def test_an_uninstallation_asks_before_it_stops_the_line(machine: Machine, answer: str, left: str) -> None:
    ran = machine.run(
        f"""
offer 9.1; {machine.now}/install.sh --yes; told > /dev/null
{machine.now}/uninstall.sh || echo $?
readlink /opt/edge-agent/bin || true
""",
        answer=answer,
    )

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == (["75", left] if left else [])
    assert "No part passes from then on" in ran.stderr


def test_a_line_toml_that_cannot_be_read_hides_nothing_that_lies_where_an_installation_puts_it(
    machine: Machine,
) -> None:
    ran = machine.run(f"""{STATE}
echo 'not = = toml' >> /etc/edge-agent/line.toml
offer 9.1; {machine.now}/uninstall.sh --yes
""")

    assert ran.returncode == 0, ran.stderr
    assert "/etc/edge-agent/line.toml cannot be read" in ran.stderr
    for command in ("rm /var/lib/edge-agent/journal", "rm -r /var/lib/edge-agent\n", "rm -r /etc/edge-agent\n"):
        assert f"             {command}" in ran.stderr


def test_an_uninstallation_that_cannot_look_does_not_say_that_nothing_is_left(machine: Machine) -> None:
    ran = machine.run(f"""{STATE}
offer 9.1; echo 'raise SystemExit(1)' > {machine.now}/state_of_line.py
{machine.now}/uninstall.sh --yes
""")

    assert ran.returncode == 0, ran.stderr
    left = ran.stderr[ran.stderr.index("edge-agent is uninstalled") :]
    assert "see /var/lib/edge-agent, and what /etc/edge-agent/line.toml names" in left
    assert "nothing" not in left


def test_files_that_a_running_line_removes_meanwhile_hide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_of = runpy.run_path(str(DEPLOY / "state_of_line.py"))["size_of"]
    for name in ("gone", "stays"):
        (tmp_path / name).write_bytes(b"x" * 5000)
    kept = tmp_path / "stays"
    blocks = kept.lstat().st_blocks + tmp_path.lstat().st_blocks
    lstat = Path.lstat

    def meanwhile(path: Path) -> os.stat_result:
        if path.name == "gone":
            path.unlink(missing_ok=True)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", meanwhile)

    assert size_of(tmp_path, tmp_path / "never") == 512 * blocks

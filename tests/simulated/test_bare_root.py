"""An installation from the offline folder in a bare root without any network, to the first part that is judged.

`make bare-root` makes the folder and the root, and runs this. EDGE_AGENT_BARE_ROOT names the root, as debootstrap
leaves it; each test works on a copy, in name spaces of its own: no network but its own loopback, no process of this
machine. What the commands print as the next thing to do is done, word for word.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from drivers.timing import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.results import Figure

REPOSITORY = Path(__file__).parents[2]
ROOT = Path(os.environ.get("EDGE_AGENT_BARE_ROOT", "/nowhere"))
OFFLINE = Path(os.environ.get("EDGE_AGENT_OFFLINE", REPOSITORY / "dist/edge-agent-offline"))
STATE = "/var/lib/edge-agent"
CONFIG = "/etc/edge-agent/line.toml"
AGENT = "/opt/edge-agent/bin/edge-agent"
PARTS = 20
SPACING_MS = 8000
"""A machine that tests run on does other things as well: a part has this long, and is not LATE."""
WITHIN_S = 1800
_ALONE = """\
mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/dev/shm"
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 sh -euc "$1"
"""
_LOOPBACK = """\
ip link set lo up
[ "$(ip -o link | wc -l)" = 1 ] || { echo "there is a network"; exit 1; }
"""
_UNTIL_JUDGED = """\
# As the unit does: an agent that ends is started again, but for the exit codes that a restart changes nothing about.
(until {agent} run --config {config} > /tmp/run.log 2>&1; do
    case $? in 64 | 65 | 78) exit 1 ;; esac
done) &
until {agent} journal query --verdict PASS --json 2> /dev/null > /tmp/passed; do
    kill -0 $! || {{ cat /tmp/run.log; exit 1; }}
    sleep 0.5
done
cat /tmp/passed
"""

pytestmark = [
    pytest.mark.timeout(7200),
    pytest.mark.skipif(
        not (ROOT / "usr/bin/python3").exists(), reason="EDGE_AGENT_BARE_ROOT names no root: make bare-root"
    ),
    pytest.mark.skipif(not (OFFLINE / "install.sh").exists(), reason=f"no offline folder in {OFFLINE}: make bare-root"),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="root and unshare only"),
]


class LinePc:
    """A bare root with the offline folder in it: a line PC on its first day."""

    def __init__(self, root: Path, *, calibrates: bool) -> None:
        self.root = root
        subprocess.run(["cp", "-a", str(ROOT), str(root)], check=True)
        ignored = shutil.ignore_patterns(*(() if calibrates else ("calibration",)))
        shutil.copytree(OFFLINE, root / "root/offline", ignore=ignored)

    def run(self, script: str, *, code: int = 0) -> str:
        """What a script printed, run by root in the state folder where there is one; it ends with that exit code."""
        begin = f"{_LOOPBACK}cd {STATE} 2> /dev/null || cd /\n"
        inside = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _ALONE)
        ran = subprocess.run(
            [*inside, str(self.root), begin + script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=WITHIN_S,
        )
        assert ran.returncode == code, ran.stdout
        return ran.stdout

    def install(self) -> None:
        """From the offline folder to a line.toml that is checked."""
        self.run("/root/offline/install.sh")
        said = self.run(f"{AGENT} init --simulated --spacing-ms {SPACING_MS} --state {STATE} --out {CONFIG}")
        assert "calibrate-reference" in said
        assert ": ok (" in self.run(f"{as_agent('config check')}")

    def collect_and_calibrate(self, *, code: int) -> str:
        """The command that `init` names, with fewer parts and nobody to ask."""
        return self.run(
            as_agent(
                f"calibrate-reference good/ --live {PARTS} --config {CONFIG} --out {STATE}/bundles/program-0 "
                "--part zipper --program 0 --yes"
            ),
            code=code,
        )

    def first_pass(self) -> dict[str, object]:
        """The agent runs until a part has passed: its row. Then its power goes."""
        said = self.run(_UNTIL_JUDGED.format(agent=as_agent(""), config=CONFIG))
        records: list[dict[str, object]] = json.loads(said)["records"]
        return records[-1]

    def uninstall(self) -> None:
        """Nothing of the installation stays, and nothing at all once the commands were given that it names."""
        said = self.run("/opt/edge-agent/setup/uninstall.sh")
        assert not (self.root / "opt/edge-agent").exists()
        assert (self.root / STATE[1:] / "journal.sqlite3").exists()
        commands = re.findall(r"^ {13}((?:rm|userdel) .*)$", said, re.MULTILINE)
        left = self.run("\n".join([*commands, "find / -xdev -name '*edge-agent*' ! -path '/root/*' ! -path '/proc/*'"]))
        assert left == ""
        assert "edge-agent" not in (self.root / "etc/passwd").read_text()


def as_agent(command: str) -> str:
    """A command of edge-agent as the service's user."""
    return f"setpriv --reuid=edge-agent --regid=edge-agent --init-groups {AGENT} {command}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for roots, of which nothing stays."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


class Clock:
    """How long each step took, in words."""

    def __init__(self) -> None:
        self._began_s = monotonic_s()
        self.said: list[str] = []

    def tell(self, step: str) -> None:
        """This step ended now."""
        now_s = monotonic_s()
        self.said.append(f"{step} {now_s - self._began_s:.0f} s")
        self._began_s = now_s


def _on_another_pc(folder: Path, command: str) -> None:
    program, *args = shlex.split(command)
    assert program == "edge-agent"
    ran = subprocess.run(
        [sys.executable, "-m", "edge_agent", *args, "--yes"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.promise(
    "T-43a", "offline, in a bare root without network: the line PC collects, another PC calibrates", "a part passes"
)
def test_a_line_pc_that_collects_only(folder: Path, figure: Figure) -> None:
    pc, clock, other = LinePc(folder / "root", calibrates=False), Clock(), folder / "other"
    pc.install()
    clock.tell("installed in")
    said = pc.collect_and_calibrate(code=69)
    clock.tell(f"{PARTS} parts collected in")
    again, activate = re.findall(
        r"^    ((?:edge-agent calibrate-reference|\S+ bundle activate) .*)$", said, re.MULTILINE
    )

    other.mkdir()
    shutil.copytree(pc.root / STATE[1:] / "good", other / "good")
    _on_another_pc(other, again)
    clock.tell("calibrated elsewhere in")
    shutil.copytree(other / "bundle", pc.root / STATE[1:] / "bundle")
    pc.run(f"chown -R edge-agent: bundle; {as_agent(activate.removeprefix(AGENT))}")
    row = pc.first_pass()
    clock.tell("first PASS after")
    pc.uninstall()

    assert row["reason"] == "OK"
    figure(", ".join(clock.said) + "; uninstalled, nothing left")


@pytest.mark.promise(
    "T-43b", "offline, in a bare root without network: the line PC collects and calibrates", "a part passes"
)
def test_a_line_pc_that_calibrates_by_itself(folder: Path, figure: Figure) -> None:
    if not (OFFLINE / "calibration").is_dir():
        pytest.skip(f"{OFFLINE} has no folder calibration: make bare-root")
    pc, clock = LinePc(folder / "root", calibrates=True), Clock()
    pc.install()
    clock.tell("installed with torch in")
    said = pc.collect_and_calibrate(code=0)
    clock.tell(f"{PARTS} parts collected and calibrated in")
    assert re.search(rf"^bundle \w+ from {PARTS} good images", said, re.MULTILINE)
    row = pc.first_pass()
    clock.tell("first PASS after")
    pc.uninstall()

    assert row["reason"] == "OK"
    figure(", ".join(clock.said) + "; uninstalled, nothing left")

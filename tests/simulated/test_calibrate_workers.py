"""A calibration by several processes of this machine: the bundle of one process, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.plant import Ran, until
from tests.simulated.line import edge_agent, good_image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated") / "good"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number:02d}.bmp").write_bytes(good_image(number))
    return folder


@pytest.fixture(scope="module")
def expected(good: Path) -> str:
    """The bundle's id as one process with two threads makes it."""
    ran = edge_agent(*command(good, good.parent / "one"), within_s=500)
    assert ran.returncode == 0, ran.stderr
    return bundle_id(ran.stdout)


def command(good: Path, out: Path, *options: str) -> tuple[str, ...]:
    return ("calibrate-reference", str(good), "--out", str(out), "--json", *options)


def bundle_id(said: str) -> str:
    found: str = json.loads(said)["bundle_id"]
    return found


def kept(out: Path) -> list[Path]:
    """What was worked out of a bundle that is not done."""
    return sorted(out.with_name(f"{out.name}.unfinished").glob("*.npz"))


def test_two_workers_make_the_bundle_of_one_process_also_where_one_is_killed(
    tmp_path: Path, good: Path, expected: str
) -> None:
    out = tmp_path / "bundle"
    with Ran(command(good, out, "--workers", "2")) as ran:
        until("first images", lambda: len(kept(out)) >= 5)
        ran.workers()[0].kill()
        before = len(kept(out))
        until("images behind it", lambda: len(kept(out)) > before)
        assert not (out / "manifest.json").exists(), "it was done before anybody was killed: this proves nothing"
        code, said, err = ran.end()

    assert code == 0, err
    assert bundle_id(said) == expected
    assert not out.with_name("bundle.unfinished").exists()


def test_a_client_that_is_killed_goes_on_with_what_is_kept(tmp_path: Path, good: Path, expected: str) -> None:
    out = tmp_path / "bundle"
    arguments = command(good, out, "--workers", "2")
    with Ran(arguments) as ran:
        until("first images", lambda: len(kept(out)) >= 30)
        workers = ran.workers()
        ran.kill()
    until("end of the workers", lambda: not any(one.is_running() for one in workers))
    assert not out.exists()
    before = {path: path.stat().st_mtime_ns for path in kept(out)}
    torn = next(iter(before))
    torn.write_bytes(torn.read_bytes()[:-100])  # as a power cut may leave it
    del before[torn]

    with Ran(arguments) as ran:
        until("items behind them", lambda: len(kept(out)) > len(before) + 1)
        after = {path: path.stat().st_mtime_ns for path in before}
        code, said, err = ran.end()

    assert code == 0, err
    assert after == before, "what was worked out is not worked out again"
    assert bundle_id(said) == expected


def test_ctrl_c_says_what_is_kept(tmp_path: Path, good: Path) -> None:
    out = tmp_path / "bundle"
    with Ran(command(good, out, "--workers", "1")) as ran:
        until("first image", lambda: len(kept(out)) >= 1)
        workers = ran.workers()
        ran.ctrl_c()
        code, _, err = ran.end()

    assert code == 130
    assert f"what was worked out is kept in {out}.unfinished; the same command goes on" in err
    assert "Traceback" not in err
    assert not any(one.is_running() for one in workers)
    assert not out.exists()


def test_workers_of_a_process_that_stands_back_stand_back_as_well() -> None:
    code = (
        "import os\n"
        "from edge_agent.runtime.process import stand_back\n"
        "from edge_agent.tools.plant.cluster import local_cluster\n"
        "def told():\n"
        "    import os\n"
        "    return os.sched_getscheduler(0), os.nice(0), open('/proc/self/oom_score_adj').read().strip()\n"
        "if __name__ == '__main__':\n"
        "    stand_back(None)\n"
        "    with local_cluster(1) as client:\n"
        "        print(list(client.run(told).values())[0])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=400)

    assert ran.stdout.strip() == str((os.SCHED_IDLE, 19, "900")), ran.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--workers", "2", "--scheduler", "tcp://127.0.0.1:1"), 64, "leave one of them out"),
        (("--scheduler", "tcp://192.0.2.1:8786"), 64, "can have it execute anything"),
        (("--workers", "0"), 64, "--workers"),
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(
    tmp_path: Path, good: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    ran = edge_agent(*command(good, tmp_path / "bundle", *options))

    assert ran.returncode == code, ran.stderr
    assert words in ran.stderr
    assert list(tmp_path.iterdir()) == []

"""Every test; those that failed beside others once more, alone, and named.

Run: ``python -m tests.all_tests [--at-a-time N] [options of pytest]``. The product keeps times of 50 to 500 ms, and its
tests keep them with real peers. Where several tests share two cores with whatever else the machine does, one in some
thousands is held up for longer than that. So a few failed tests are run again when nothing else runs. What fails again
is a fault; what passes then is named, so that somebody can look why (docs/decisions/0107). More than ``MOST_AGAIN``
failures are no noise, and neither is a run that could not collect its tests: nothing is run again then.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

MOST_AGAIN = 6


def main(arguments: list[str] | None = None) -> int:
    """All tests that pytest finds with these options.

    Its value is pytest's own exit code: of the second run, where there was one.
    """
    asks = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asks.add_argument("--at-a-time", default="auto", help="tests that run beside each other (as pytest -n)")
    asked, options = asks.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        # A cache of this run alone: what failed some day before is none of its business.
        cache = ["-o", f"cache_dir={folder}"]
        ended = _pytest("-n", asked.at_a_time, "--dist", "loadfile", *cache, *options)
        failed = _failed(Path(folder))
        if ended != pytest.ExitCode.TESTS_FAILED or not 0 < len(failed) <= MOST_AGAIN:
            return ended
        _say(f"{len(failed)} failed beside other tests. They run once more, alone:", failed)
        again = _pytest("-n", "0", "--last-failed", "--last-failed-no-failures", "none", *cache, *options)
        passed = sorted(set(failed) - set(_failed(Path(folder))))
        _say("FAILED BESIDE OTHERS, PASSED ALONE (look why):", passed or ["none"])
        return again


def _pytest(*options: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode


def _say(head: str, names: list[str]) -> None:
    sys.stdout.write("\n  ".join([f"\n{head}", *names]) + "\n")
    sys.stdout.flush()


def _failed(cache: Path) -> list[str]:
    """The names of the tests that failed last, as pytest keeps them."""
    kept = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else []


if __name__ == "__main__":
    sys.exit(main())

"""``make mutants``: change one thing in what decides and what writes a PASS, and run its tests: what goes unnoticed?

``--jobs`` at a time, each in a copy of the project and a child of this process; of files that share their tests those
are timed once. What survives is in tests/RESULTS.md.

Two kept tools were tried instead. mutmut 3.8 finds by itself which tests reach a function, and tried 430 changes of the
coil output in twelve minutes. But it changes nothing in a property and drops no call without arguments, so that a lost
``await self._make_reject()`` is never among its changes; and a run of the tests that could not begin counts as a change
that was noticed, which hid some that nothing can notice. cosmic-ray 8.7 drops no statement either, changes the file in
the working tree itself, and starts Python and pytest anew for each change.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.mutant_trial import ROOT, Trial
from tests.mutations import mutants_of
from tests.results import write_mutants

_DECIDES = tuple(f"tests/unit/test_runtime_{name}.py" for name in ("interlock", "decision", "pairing", "invariants"))
_DRIVES = (
    "tests/unit/test_modbus_coils.py",
    "tests/unit/test_device_output.py",
    "tests/unit/test_modbus_output.py",
    "tests/contract/test_verdict_output.py",
    "tests/fault/test_modbus_bad_peer.py",
    "tests/fault/test_words_bad_peer.py",
    *("-k", "not RTU"),
)
"""Without the serial line: it is the same output, and takes its time."""
_BLOCK = (
    "tests/simulated/test_register_output.py",
    "tests/contract/test_verdict_output.py",
    *("-k", "not RTU and not coils"),
)
_WORDS = ("tests/fault/test_words_bad_peer.py", "tests/unit/test_word_codecs.py")
_TAGS = (
    "tests/unit/test_ethernet_ip_codec.py",
    "tests/fault/test_ethernet_ip_bad_peer.py",
    "tests/fault/test_words_bad_peer.py",
    "tests/simulated/test_word_plcs.py",
)
TESTS_OF = {
    "edge_agent/runtime/interlock.py": _DECIDES,
    "edge_agent/runtime/verdict.py": _DECIDES,
    "edge_agent/runtime/pairing.py": _DECIDES,
    "edge_agent/runtime/counter.py": _DECIDES,
    "edge_agent/runtime/decided.py": _DECIDES,
    "edge_agent/runtime/part.py": _DECIDES,
    "edge_agent/runtime/part_handler.py": ("tests/unit/test_runtime_engine.py",),
    "edge_agent/runtime/link_health.py": ("tests/unit/test_runtime_engine.py",),
    "edge_agent/runtime/engine.py": tuple(
        f"tests/unit/test_runtime_{name}.py" for name in ("engine", "bypass", "supervisor")
    ),
    "edge_agent/runtime/locking.py": ("tests/unit/test_golden_clock.py",),
    "edge_agent/golden/clock.py": ("tests/unit/test_golden_clock.py",),
    "drivers/output/device_output.py": _DRIVES,
    "drivers/output/questions.py": _DRIVES,
    "drivers/output/outage.py": _DRIVES,
    "drivers/output/level_output.py": _DRIVES,
    "drivers/output/coils.py": _DRIVES,
    "drivers/output/block_output.py": _BLOCK,
    "drivers/output/block.py": _BLOCK,
    "drivers/output/words.py": ("tests/simulated/test_word_plcs.py", *_WORDS),
    "drivers/output/plc_connection.py": _WORDS,
    "drivers/transport/exchange.py": _WORDS,
    "drivers/slmp/codec.py": _WORDS,
    "drivers/slmp/connection.py": _WORDS,
    "drivers/kv_hostlink/codec.py": _WORDS,
    "drivers/kv_hostlink/connection.py": _WORDS,
    "drivers/ethernet_ip/codec.py": _TAGS,
    "drivers/ethernet_ip/connection.py": _TAGS,
}
"""What decides, carries and writes a PASS, each with the tests that are to notice a change of it."""


def main() -> None:
    """Print the survivors of every file or of those that are named, and how many changes were tried."""
    asked = argparse.ArgumentParser(description=main.__doc__)
    asked.add_argument("files", nargs="*", choices=[[], *TESTS_OF], metavar="FILE", default=[])
    asked.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many changes are tried at a time")
    said = asked.parse_args()
    # What takes its time to import is imported once: each change is tried by a child of this process.
    for name in ("hypothesis.stateful", "numpy", "structlog"):
        importlib.import_module(name)
    files = said.files or list(TESTS_OF)
    for tests in dict.fromkeys(TESTS_OF[file] for file in files):
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            _try_all(Trial(Path(folder), tests), [file for file in files if TESTS_OF[file] == tests], said.jobs)


def _try_all(trial: Trial, files: list[str], jobs: int) -> None:
    for _ in ("to learn how long each test takes", "in the order of that"):
        if not trial.survives(files[0], (ROOT / files[0]).read_text()):
            sys.exit(f"{files[0]}: its tests fail without any change, and would seem to notice all: {trial.failed}")
    for file in files:
        changes = mutants_of((ROOT / file).read_text())
        with ThreadPoolExecutor(jobs) as pool:
            outcomes = pool.map(partial(_survives, trial, file), changes)
            survivors = [words for (words, _), survives in zip(changes, outcomes, strict=True) if survives]
        print(f"{file}: {len(changes)} changes, {len(survivors)} survived", flush=True)  # noqa: T201
        write_mutants(file, len(changes), survivors, kept=TESTS_OF)


def _survives(trial: Trial, file: str, change: tuple[str, str]) -> bool:
    words, altered = change
    survives = trial.survives(file, altered)
    if survives:
        print("survived", f"{file}:{words}", flush=True)  # noqa: T201
    return survives


if __name__ == "__main__":
    main()

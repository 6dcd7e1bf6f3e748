"""One side of ``tests.benchmark.paired``: it inspects images by the code that PYTHONPATH leads to.

It reads the path of an image from standard input, a line each, and answers a line of JSON each on standard output; its
first line says that it is warm. It is run as a file, with ``python -P``, for older code has no such module. So nothing
is imported here but what the codes of both sides have.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path


def peak_kib() -> int:
    """The most memory that this process has had, as the kernel counts it since the process began."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise SystemExit("/proc/self/status has no line VmHWM: this benchmark needs Linux")


def main() -> None:
    """Be warm, say so, and answer until nobody asks any more."""
    code, bundle, threads = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer

    import edge_agent
    from edge_agent.inspection.inspector import Inspector

    try:
        from edge_agent.inspection.bundle.reference_bundle import Bundle
    except ModuleNotFoundError:  # an older code, where the bundle was one file
        Bundle = importlib.import_module("edge_agent.inspection.bundle").Bundle  # noqa: N806 - a class

    if code not in Path(str(edge_agent.__file__)).resolve().parents:
        raise SystemExit(f"this side was to run the code in {code}, and runs {edge_agent.__file__}")
    inspector = Inspector(Bundle.load(bundle), threads=threads)
    inspector.warm_up()

    def answer(facts: dict[str, object]) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    answer({"is_warm": True})
    for line in sys.stdin:
        data = Path(line.rstrip("\n")).read_bytes()
        begin, begin_processor = time.perf_counter(), time.process_time()
        inspection = inspector.inspect(data)
        wall_ms, processor_ms = (time.perf_counter() - begin) * 1000.0, (time.process_time() - begin_processor) * 1000.0
        answer(
            {
                "wall_ms": wall_ms,
                "processor_ms": processor_ms,
                "stages_ms": dict(inspection.timings_ms),
                "is_passed": str(inspection.outcome) == "OK",
                "peak_kib": peak_kib(),
            }
        )


if __name__ == "__main__":
    main()

"""Make the tables of docs/figures.md anew: ``python -m tests.benchmark.figures DATA``, or ``make figures DATA=...``.

DATA is the folder that holds the data sets in MVTec's layout. It takes hours, and may be broken off at any time: each
piece that is done lies in the work folder, and the same command goes on behind it. What the present code has measured
on the present images is not measured again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.evaluation.trial import TITLES
from edge_agent.errors import EdgeAgentError
from edge_agent.store.fs import write_durably
from tests.benchmark.figures.measure import Subject
from tests.benchmark.figures.page import with_tables
from tests.benchmark.figures.pieces import Maker, Pieces, digest_of
from tests.benchmark.figures.plan import SETS, TABLES, Plan
from tests.benchmark.figures.tables import TABLE_TEXTS, Measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmark.figures.pieces import Done

_BROKEN_OFF, _DATA = 130, 65
_NUMBERS = ("seeds", "draws", "promise_draws", "clean_draws", "suspect_draws")

Found = dict[str, dict[str, "list[Done]"]]
Failed = dict[str, dict[str, str]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing, then write the tables. The exit code is 65 where a data set could not be measured."""
    args = _parser().parse_args(argv)
    try:
        plan = Plan(**{name: getattr(args, name) for name in _NUMBERS}, whole_methods=args.methods)
        found, failed = _measure_all(args, plan)
        return _write(args, plan, found, failed)
    except KeyboardInterrupt:
        _say(f"broken off: what is done lies in {args.work}, and the same command goes on behind it")
        return _BROKEN_OFF


def _measure_all(args: argparse.Namespace, plan: Plan) -> tuple[Found, Failed]:
    """The pieces, and why there are none, by table and data set."""
    found: Found = {table: {} for table in args.tables}
    failed: Failed = {table: {} for table in args.tables}
    maker = Maker.now()
    for name in args.sets:
        folder = args.data / name
        if not folder.is_dir():
            for table in args.tables:
                failed[table][name] = "it is not among the data"
            continue
        pieces = Pieces(args.work / name, digest_of(folder), maker, accept_older=args.accept_older)
        subject = Subject(folder, threads=args.threads, progress=_progress(name))
        try:
            for table in args.tables:
                try:
                    found[table][name] = _measured(subject, pieces, plan, table, name, again=args.again)
                except EdgeAgentError as err:
                    failed[table][name] = str(err)
                    _say(f"{name}, {table}: FAILED: {err} (hint: {err.hint})")
        finally:
            subject.close()
    return found, failed


def _measured(subject: Subject, pieces: Pieces, plan: Plan, table: str, name: str, *, again: bool) -> list[Done]:
    """All pieces of a data set for a table: those that are done, and the others measured now."""
    found = []
    for piece in plan.pieces(table):
        done = None if again else pieces.get(piece)
        if done is None:
            begin = time.monotonic()
            done = pieces.put(piece, subject.measure(piece))
            _say(f"{name}, {piece.title}: {time.monotonic() - begin:.0f} s")
        found.append(done)
    return found


def _write(args: argparse.Namespace, plan: Plan, found: Found, failed: Failed) -> int:
    tables = {
        table: TABLE_TEXTS[table](Measured(found[table], failed[table]), plan) for table in args.tables if found[table]
    }
    try:
        page = with_tables(args.page.read_text("utf-8"), tables)
        write_durably(args.page, page.encode())
    except (OSError, EdgeAgentError) as err:
        _say(f"{args.page} is as it was: {err}; what was measured lies in {args.work}")
        return _DATA
    _say(f"{args.page}: {', '.join(tables) or 'no table'} written")
    missing = {f"{name}, {table}: {why}" for table, sets in failed.items() for name, why in sets.items()}
    for line in sorted(missing):
        _say(f"not measured: {line}")
    return _DATA if missing else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmark.figures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder that holds the data sets")
    parser.add_argument("--work", type=Path, default=Path("build/figures"), help="where the pieces lie (%(default)s)")
    parser.add_argument("--page", type=Path, default=Path("docs/figures.md"), help="what is written (%(default)s)")
    parser.add_argument("--sets", type=_names(None), default=SETS, help=f"with commas; {','.join(SETS)}")
    parser.add_argument("--tables", type=_names(TABLES), default=TABLES, help=f"with commas; {','.join(TABLES)}")
    whole = Plan().whole_methods
    parser.add_argument("--methods", type=_names(tuple(TITLES)), default=whole, help=f"whole sets; {','.join(whole)}")
    for name in _NUMBERS:
        default = getattr(Plan(), name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=_count, default=default, help="%(default)s")
    parser.add_argument("--threads", type=_count, default=2, help="%(default)s")
    parser.add_argument("--again", action="store_true", help="measure anew what is done already")
    parser.add_argument("--accept-older", action="store_true", help="take what older code measured; the tables say so")
    return parser


def _names(known: Sequence[str] | None) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in found:
            if known is not None and name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return found

    return names


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _progress(name: str) -> Callable[[str, int, int], None]:
    """A line where a stage begins."""
    last = [""]

    def watch(stage: str, _done: int, _total: int) -> None:
        if stage != last[0]:
            last[0] = stage
            _say(f"  {name}: {stage}")

    return watch


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())

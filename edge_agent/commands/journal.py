"""``edge-agent journal``: questions, audit, rotation. Parse, call, print, exit code."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivers.base import Reason, Verdict
from edge_agent.commands.journal_options import (
    OfCount,
    OfImage,
    OfPart,
    OfProgram,
    OfReason,
    OfVerdict,
    reader_of,
    selection,
)
from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    By,
    Config,
    ForExcel,
    JournalFile,
    Json,
    On,
    Since,
    Until,
    journal_of,
    printable,
    progress_bars,
    say,
    settings_of,
    who,
)

if TYPE_CHECKING:
    from pathlib import Path

    from edge_agent.store.export import Selection

__all__ = ["journal_cli"]

_NAMED = 10

journal_cli = typer.Typer(no_args_is_help=True, help="The journal: every part once, with its verdict and its reason.")


@journal_cli.command("query")
def journal_query(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    since: Since = None,
    until: Until = None,
    on: On = None,
    verdict: OfVerdict = None,
    reason: OfReason = None,
    program: OfProgram = None,
    part: OfPart = None,
    count: OfCount = None,
    image: OfImage = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="The newest this many.")] = 50,
    for_: ForExcel = None,
    json_: Json = False,
) -> None:
    """Which parts, and why: the newest first, in the time of this PC, with totals at the end. 1 if there is none.

    Example: edge-agent journal query --config line.toml --verdict REJECT --from 22:00

    Example: edge-agent journal query --config line.toml --part 4711

    Example: edge-agent journal query --config line.toml --on "last tuesday" --count 312
    """
    from edge_agent.errors import UsageError
    from edge_agent.store.export import records_of

    if for_ and json_:
        raise UsageError("--for excel and --json are two answers", hint="say one of them")
    wanted = selection(
        since, until, on, verdict=verdict, reason=reason, program=program, part=part, count=count, image=image
    )
    with reader_of(config, journal) as reader:
        with closing(records_of(reader, wanted, is_newest_first=True)) as found:
            records = list(islice(found, most))
        # Where all that fit are here, they need not be looked for a second time.
        tally = reader.tally(*wanted.where()) if len(records) == most else _tally_of(records)
    said = _said(journal_of(config, journal), wanted)
    totals = _totals(wanted, tally, len({record["part_seq"] for record in records}))
    if said:
        totals.append("reviewed: " + ", ".join(f"{number} {_SAID.get(says, says)}" for says, number in said.items()))
    if for_:
        _print_excel(records)
        typer.echo("\n".join(totals), err=True)
    else:
        facts = {"schema_version": 1, "records": records, "from_utc": wanted.since_utc, "to_utc": wanted.until_utc}
        by_verdict = {str(known): sum(n for (one, _), n in tally.items() if one is known) for known in Verdict}
        say(json_, {**facts, "totals": by_verdict, "reviewed": said}, [*map(_line, records), *totals])
    raise typer.Exit(0 if records else 1)


@journal_cli.command("verify")
def journal_verify(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    head: Annotated[
        str | None, typer.Option(metavar="LINK:SHA256", help="A head that was noted: journal_head in the agent's log.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check whether a row was altered, removed or added later, along the chain of hashes. Exit code 1 if so.

    Example: edge-agent journal verify --config line.toml --head 4711:9f2c...
    """
    noted = _head(head)
    with reader_of(config, journal) as reader, progress_bars() as progress:
        damage = reader.problems()
        audit = reader.audit(noted, lambda done, total: progress("links of the chain", done, total))
    problems = [*damage, *audit.problems]
    facts = {
        "schema_version": 1,
        "ok": not problems,
        "head": str(audit.head),
        "predecessor": audit.predecessor,
        "predecessor_sha256": audit.predecessor_sha256,
        "problems": problems,
    }
    after = f", after {audit.predecessor}" if audit.predecessor else ""
    words = "nothing was altered or removed" if not problems else f"{len(problems)} problem(s)"
    say(json_, facts, [*problems, f"{words}{after}; head {audit.head}"])
    raise typer.Exit(1 if problems else 0)


@journal_cli.command("rotate")
def journal_rotate(
    config: Config = DEFAULT_CONFIG,
    *,
    journal: JournalFile = None,
    by: By = None,
    although_disputed: Annotated[
        bool, typer.Option("--although-disputed", help="Parts over which people differ shall stay undecided.")
    ] = False,
    json_: Json = False,
) -> None:
    """Close the journal under the name of its parts and begin the next one; 75 while an agent runs.

    Nobody can review a part of a closed journal: 65 where people differ over one, for it could be decided no more.

    Example: edge-agent journal rotate --config line.toml
    """
    from edge_agent.files.owners import refuse_root
    from edge_agent.store.rotation import rotate

    path = journal or settings_of(config, writes_state=True).store.journal
    refuse_root([path.parent, path])
    if not although_disputed:
        _refuse_disputed(path)
    kept = rotate(path, by=who(by))
    say(json_, {"schema_version": 1, "closed": str(kept)}, [f"closed: {kept}"])


def _refuse_disputed(path: Path) -> None:
    """Raise DataError where people differ over parts of this journal: the page decides over no closed one."""
    from edge_agent.errors import DataError
    from edge_agent.store.scored import reviews_of
    from edge_agent.store.search import JournalSearch

    if not path.is_file():  # rotate says so
        return
    with JournalSearch.open(path) as journal:
        open_ = [seq for seq in sorted(reviews_of(path).disputed, reverse=True) if journal.part(seq) is not None]
    if open_:
        newest = ", ".join(map(str, open_[:_NAMED])) + ", ..." * (len(open_) > _NAMED)
        raise DataError(
            f"people differ over {len(open_)} parts of this journal, which nobody could decide any more: {newest}",
            hint="decide them on the page (Review, Disputed), or leave them so with --although-disputed",
        )


def _line(record: dict[str, Any]) -> str:
    """A record for a person."""
    from edge_agent.local_time import local_words

    score, limit = ("-" if record[name] is None else format(record[name], ".4g") for name in ("score", "limit"))
    count = "-" if record["count"] is None else record["count"]
    return (
        f"{record['part_seq']:>8}  count {count:<6} {local_words(record['decided_utc'])}  {record['verdict']:<6} "
        f"{record['reason']:<13} {score}/{limit}  {record['published'] or 'not told'}  {printable(record['detail'])}"
    ).rstrip()


def _totals(wanted: Selection, tally: dict[tuple[Verdict, Reason], int], shown: int) -> list[str]:
    """The last lines: how many there are in all, of which time, and whether all of them are above."""
    from edge_agent.local_time import local_words

    if not tally:
        return ["no such part"]
    number, said = sum(tally.values()), []
    for verdict in Verdict:
        reasons = {str(reason): n for (one, reason), n in tally.items() if one is verdict}
        if reasons:
            why = ", ".join(f"{reason} {n}" for reason, n in reasons.items())
            said.append(f"{sum(reasons.values())} {verdict}" + ("" if verdict is Verdict.PASS else f" ({why})"))
    begin = f" from {local_words(wanted.since_utc)}" if wanted.since_utc else ""
    end = f" to {local_words(wanted.until_utc)}" if wanted.until_utc else ""
    lines = [f"{number} part{'s' if number > 1 else ''}{begin}{end}: {', '.join(said)}"]
    return [*lines, f"shown: the newest {shown} of them; --most {number} shows all"] if shown < number else lines


_SAID = {
    "CONFIRMED": "rightly rejected",
    "OVERTURNED": "good and rejected",
    "PASS_CONFIRMED": "rightly passed",
    "ESCAPE": "defective and passed (escapes)",
    "DISPUTED": "disputed",
}


def _said(path: Path, wanted: Selection) -> dict[str, int]:
    """What people said last of the parts that fit: how many of each word."""
    import json
    from collections import Counter

    from edge_agent.store.reviewed import ReviewBook
    from edge_agent.store.search import JournalSearch

    where, values = wanted.where()
    with JournalSearch.open(path) as journal:
        words = ReviewBook().standing(journal)
        reviewed = [*values, json.dumps(sorted(words))]
        found = journal.select(f"{where} AND part_seq IN (SELECT value FROM json_each(?))", reviewed)  # noqa: S608 - ours
        return dict(sorted(Counter(words[row.part_seq] for row in found).items()))


def _tally_of(records: list[dict[str, Any]]) -> dict[tuple[Verdict, Reason], int]:
    """As ``JournalReader.tally``, of the parts of these records."""
    by_part = {record["part_seq"]: (Verdict(record["verdict"]), Reason(record["reason"])) for record in records}
    counted = Counter(by_part.values())
    return dict(sorted(counted.items(), key=lambda item: (item[0][0], -item[1])))


def _print_excel(records: list[dict[str, Any]]) -> None:
    from io import BytesIO

    from edge_agent.store.excel import write_excel

    table = BytesIO()
    write_excel(records, table)
    typer.echo(table.getvalue().decode(), nl=False)


def _head(text: str | None) -> Any:
    import re

    from edge_agent.errors import UsageError
    from edge_agent.store.chain import Head

    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise UsageError(f"--head {text!r} is no head", hint="LINK:SHA256, as the agent's log has it")
    return Head(int(found[1]), found[2])

"""``edge-agent report``: what an auditor signs. Parse, call, print, exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.commands.shared import (
    DEFAULT_CONFIG,
    Config,
    Json,
    Language,
    PaperSize,
    in_language,
    progress_bars,
    say,
    settings_of,
    utc_of,
)

__all__ = ["report_cli"]

report_cli = typer.Typer(no_args_is_help=True, help="Reports for people to read and sign.")


@report_cli.command("shift")
def report_shift(
    config: Config = DEFAULT_CONFIG,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="2026-11-24T06:00, 22:00, yesterday ...; left out, the begin of the shift that runs.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="As --from, itself not included; now if left out.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("shift.html"),
    pdf: Annotated[bool, typer.Option("--pdf", help="Also as PDF, by this PC's browser.")] = False,
    pictures: Annotated[int, typer.Option(min=0, max=50, help="So many of the worst parts with pictures.")] = 8,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """One self-contained HTML of a shift: bundle, limit, counts, reasons, worst parts, timings, is the record whole.

    1 if the journal's chain of hashes is broken.

    Example: edge-agent report shift --config line.toml --from 2026-11-24T06:00 --to 2026-11-24T14:00
    """
    from dataclasses import replace
    from datetime import UTC, datetime

    from edge_agent.report.shift import write_shift_report
    from edge_agent.shifts import shift_start
    from edge_agent.tools.shift import print_pdf, shift_facts

    settings = settings_of(config)
    now = datetime.now(UTC)
    begun = shift_start(now.astimezone(), settings.web.shift_starts if settings.web else ("00:00",))
    from_utc = utc_of("--from", since) or begun.isoformat(timespec="milliseconds")
    to_utc = utc_of("--to", until, from_utc) or now.isoformat(timespec="milliseconds")
    with progress_bars() as progress, in_language(language, settings):
        facts = shift_facts(settings, from_utc, to_utc, pictures, progress)
        write_shift_report(out, replace(facts, head=replace(facts.head, paper=paper)))
    written = [out]
    if pdf:
        print_pdf(out, out.with_suffix(".pdf"))
        written.append(out.with_suffix(".pdf"))
    whole = facts.whole
    said = {
        "schema_version": 1,
        "from_utc": from_utc,
        "to_utc": to_utc,
        "parts": whole.parts,
        "PASS": whole.passed,
        "REJECT": whole.rejected,
        "FAULT": whole.fault,
        "passed_to_output": whole.to_gate,
        "bundles": [bundle.bundle_id for bundle in facts.bundles],
        "chain_head": facts.chain_head,
        "chain_problems": list(facts.chain_problems),
        "files": [str(path) for path in written],
    }
    say(
        json_,
        said,
        [
            f"{whole.parts} parts: {whole.passed} PASS, {whole.rejected} REJECT, {whole.fault} FAULT",
            f"yield {whole.share}; {whole.to_gate} PASS reached the output",
            *facts.chain_problems,
            *(f"report: {path}" for path in written),
        ],
    )
    raise typer.Exit(1 if facts.chain_problems else 0)


@report_cli.command("part")
def report_part(
    part: Annotated[int, typer.Argument(min=1, help="The journal's number of the part; journal query finds it.")],
    config: Config = DEFAULT_CONFIG,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file to write; part-NUMBER.html if left out.")
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also as PDF, by this PC's browser.")] = False,
    paper: PaperSize = "A4",
    language: Language = None,
    json_: Json = False,
) -> None:
    """One page of one part, to print: the verdict in words, what the journal says, its pictures. 65 if there is none.

    Example: edge-agent report part 4711 --config line.toml
    """
    from dataclasses import replace

    from edge_agent.report.part import write_part_page
    from edge_agent.tools.part_page import part_page
    from edge_agent.tools.shift import print_pdf

    settings = settings_of(config)
    path = out or Path(f"part-{part}.html")
    with in_language(language, settings):
        facts = part_page(settings, part)
        write_part_page(path, replace(facts, head=replace(facts.head, paper=paper)))
    written = [path]
    if pdf:
        print_pdf(path, path.with_suffix(".pdf"))
        written.append(path.with_suffix(".pdf"))
    said = {"schema_version": 1, "part_seq": part, "verdict": facts.verdict, "statement": facts.statement}
    say(
        json_,
        said | {"files": [str(file) for file in written]},
        [f"part {part}: {facts.statement}", *(f"page: {file}" for file in written)],
    )

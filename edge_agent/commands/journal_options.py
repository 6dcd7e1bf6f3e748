"""Which parts of a journal: the options that its questions and its export share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from drivers.base import Reason, Verdict
from edge_agent.commands.shared import journal_of, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_agent.store.export import Selection
    from edge_agent.store.journal import JournalReader

__all__ = ["OfCount", "OfImage", "OfPart", "OfProgram", "OfReason", "OfVerdict", "reader_of", "selection"]

OfVerdict = Annotated[Verdict | None, typer.Option("--verdict", case_sensitive=False)]
OfReason = Annotated[Reason | None, typer.Option("--reason", case_sensitive=False)]
OfProgram = Annotated[int | None, typer.Option("--program", help="The controller's program.")]
OfPart = Annotated[int | None, typer.Option("--part", min=1, help="The journal's number of the part.")]
OfCount = Annotated[int | None, typer.Option("--count", min=0, help="The controller's count; it begins anew at times.")]
OfImage = Annotated[
    str | None,
    typer.Option(
        "--image", metavar="NAME", help="Name of its image, the controller's or the archive's; * is anything."
    ),
]


@contextmanager
def reader_of(config: Path, journal: Path | None) -> Iterator[JournalReader]:
    """The journal that a command is about, open. Raises ConfigError, DataError."""
    from edge_agent.store.journal import JournalReader

    with JournalReader.open(journal_of(config, journal)) as reader:
        yield reader


def selection(
    since: str | None,
    until: str | None,
    on: str | None,
    *,
    verdict: Verdict | None,
    reason: Reason | None,
    program: int | None,
    part: int | None,
    count: int | None,
    image: str | None,
) -> Selection:
    """The parts that these options leave. Raises UsageError."""
    from edge_agent.store.export import Selection

    return Selection(*span_of(since, until, on), verdict, reason, program, part, count, image)

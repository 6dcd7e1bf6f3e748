"""A time as a page or a report says it: by the clock of this PC, with its distance from UTC, or in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from edge_agent.wording import tr

__all__ = ["in_local_time", "in_utc", "local_words"]


def in_local_time(from_utc: str, to_utc: str = "") -> str:
    """A time, or a span, by the clock of this PC, with its distance from UTC. A text that is no time stays as it is."""
    return _span(from_utc, to_utc, is_local=True)


def in_utc(from_utc: str, to_utc: str = "") -> str:
    """The span of time in UTC instead of this PC's time, for a person who compares it with the journal."""
    return _span(from_utc, to_utc, is_local=False)


def local_words(utc: str) -> str:
    """A time of the journal in the time zone of this PC, with its offset; as it stands where it cannot be read."""
    try:
        found = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return found.astimezone().isoformat(sep=" ", timespec="milliseconds")


def _span(from_utc: str, to_utc: str, *, is_local: bool) -> str:
    try:
        begin, *rest = (datetime.fromisoformat(text) for text in (from_utc, to_utc) if text)
    except ValueError:
        return tr("{begin} to {end}", begin=from_utc, end=to_utc) if from_utc and to_utc else from_utc or to_utc
    begin = begin.astimezone() if is_local else begin.astimezone(UTC)
    words = f"{begin:%Y-%m-%d %H:%M:%S}"
    for at in rest:
        end = at.astimezone() if is_local else at.astimezone(UTC)
        until = f"{end:%H:%M:%S}" if end.date() == begin.date() else f"{end:%Y-%m-%d %H:%M:%S}"
        words = tr("{begin} to {end}", begin=words, end=until)
    if not is_local:
        return f"{words} UTC"
    offset = f"{begin:%z}"
    return f"{words} (UTC{offset[:3]}:{offset[3:5]})"

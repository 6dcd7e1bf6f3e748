"""Rows of a journal as columns, in the order of writing: read in short questions, so that no writer waits for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from edge_agent.store.reader import JournalReader
from edge_agent.store.starts import START, told_detail, without_values
from edge_agent.warehouse.columns import CONDITIONS, POSES, SHARES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_agent.warehouse.local import LocalTimes

__all__ = ["Block", "ExportReader", "Named"]

_AT_ONCE = 10_000
"""Rows of one question: it is over in a tenth of a second, and with it the read transaction."""
_LATER_PARTS = 64
"""So many parts that were told of since: the word on this one will not come any more (as ``feed.current`` has it)."""
_SHARES, _CONDITIONS = frozenset(SHARES), frozenset(CONDITIONS)

_PARTS = """
SELECT c.link, c.sha256, c.row_id, p.part_seq, p.decided_utc, p.program, p.verdict, p.reason, p.detail, w.published,
  p.controller_judgement, p.score, p.score_limit, p.bundle_id, p.controller_count, p.session, p.first_sign_mono_s,
  p.decided_mono_s, p.deadline_mono_s, w.at_mono_s, p.simulated,
  (SELECT count(*) FROM camera WHERE camera.part_seq = c.row_id)
FROM chain c LEFT JOIN part p ON p.part_seq = c.row_id LEFT JOIN publication w ON w.part_seq = c.row_id
WHERE c.kind = 'part' AND c.link > ? AND c.link <= ? ORDER BY c.link
"""
_CAMERAS = """
SELECT c.link, c.sha256, c.row_id, i.part_seq, i.camera, p.decided_utc, p.program, p.verdict, i.outcome, i.reason,
  i.detail, i.score, i.score_limit, i.bundle_id, i.image_sha256, i.image_name, i.shares, {condition}, i.align_quality,
  i.align_shift_x_px, i.align_shift_y_px, i.align_angle_deg, i.align_gain, i.align_offset, i.align_scale, i.timings_ms,
  p.simulated
FROM chain c JOIN part p ON p.part_seq = c.row_id JOIN camera i ON i.part_seq = c.row_id
WHERE c.kind = 'part' AND c.link > ? AND c.link <= ? ORDER BY c.link, i.camera
"""
_EVENTS = """
SELECT c.link, c.sha256, c.row_id, e.event_id, e.kind, e.at_utc, e.detail
FROM chain c LEFT JOIN event e ON e.event_id = c.row_id
WHERE c.kind = 'event' AND c.link > ? AND c.link <= ? ORDER BY c.link
"""
_MEASURED = """
SELECT m.part_seq, m.name, m.value FROM chain c JOIN measurement m ON m.part_seq = c.row_id
WHERE c.kind = 'part' AND c.link > ? AND c.link <= ?
"""


@dataclass(frozen=True, slots=True)
class Named:
    """What the controller's items for the lot and the part's own number are called; capitals make no difference."""

    lot: str = "lot"
    serial: str = "serial"


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of one data set, in the order of writing. ``days`` is of each row its day in UTC.

    ``to_link`` is how far it was read, with or without rows. ``problems`` says which links have no row.
    """

    columns: dict[str, Sequence[Any]]
    links: Sequence[int]
    sha256s: Sequence[str]
    days: Sequence[str]
    to_link: int
    problems: tuple[str, ...] = ()


class ExportReader(JournalReader):
    """A read-only view of a journal that gives what the store takes."""

    def sha256_of(self, link: int) -> str:
        """The hash of a link; empty where there is none of that number."""
        return self.link_sha256(link) if link else ""

    def settled(self, after_link: int, last_link: int | None, *, is_closed: bool) -> int:
        """The last link up to which what became of every verdict is told, or will never be told.

        It never will where the agent was started anew since, where the file is closed, or where 64 later parts have
        theirs.
        """
        last = self.newest_link() if last_link is None else last_link
        if is_closed:
            return last
        query = (
            "SELECT c.link FROM chain c LEFT JOIN publication w ON w.part_seq = c.row_id "
            "WHERE c.kind = 'part' AND c.link > ? AND c.link <= ? AND w.part_seq IS NULL ORDER BY c.link"
        )
        for (link,) in self._all(query, after_link, last):
            if not self._never_told(link):
                return int(link) - 1
        return last

    def _never_told(self, link: int) -> bool:
        started = (
            "SELECT 1 FROM chain c JOIN event e ON e.event_id = c.row_id "
            "WHERE c.kind = 'event' AND c.link > ? AND e.kind = ? LIMIT 1"
        )
        later = "SELECT count(*) FROM (SELECT 1 FROM chain WHERE kind = 'publication' AND link > ? LIMIT ?)"
        return bool(self._all(started, link, START)) or self._all(later, link, _LATER_PARTS)[0][0] == _LATER_PARTS

    def parts_of_links(self, after_link: int, last_link: int) -> int:
        """How many parts have their links there."""
        query = "SELECT count(*) FROM chain WHERE kind = 'part' AND link > ? AND link <= ?"
        return int(self._all(query, after_link, last_link)[0][0])

    def blocks(self, dataset: str, after_link: int, last_link: int, times: LocalTimes, named: Named) -> Iterator[Block]:
        """The rows of a data set from above ``after_link`` to ``last_link``. Raises DataError for a damaged file."""
        kind = "event" if dataset == "events" else "part"
        at = after_link
        while (to := self._some(kind, at, last_link)) is not None:
            yield self._block(dataset, at, to, times, named)
            at = to

    def _some(self, kind: str, after_link: int, last_link: int) -> int | None:
        """The link to which the next question goes; None where nothing is left."""
        query = (
            "SELECT max(link) FROM (SELECT link FROM chain WHERE kind = ? AND link > ? AND link <= ? "
            "ORDER BY link LIMIT ?)"
        )
        found = self._all(query, kind, after_link, last_link, _AT_ONCE)[0][0]
        return None if found is None else int(found)

    def _block(self, dataset: str, after: int, to: int, times: LocalTimes, named: Named) -> Block:
        if dataset == "parts":
            return _parts(self._plain(_PARTS, after, to), self._measured_of(after, to), times, named, to)
        if dataset == "cameras":
            condition = "i.condition" if self._has_condition() else "'{}'"
            return _cameras(self._plain(_CAMERAS.format(condition=condition), after, to), times, to)
        return _events(self._plain(_EVENTS, after, to), times, to)

    def _has_condition(self) -> bool:
        return any(name == "condition" for _, name, *_ in self._all("PRAGMA table_info(camera)"))

    def _measured_of(self, after: int, to: int) -> dict[int, dict[str, float | str | None]]:
        found: dict[int, dict[str, float | str | None]] = {}
        if self._has_measurements:
            for seq, name, value in self._plain(_MEASURED, after, to):
                found.setdefault(seq, {})[name] = value
        return found

    def _plain(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        """As ``_all``, without a row object for each of many thousand rows."""
        made, self._connection.row_factory = self._connection.row_factory, None
        try:
            return self._all(query, *values)
        finally:
            self._connection.row_factory = made


def _parts(
    rows: list[tuple[Any, ...]],
    measured: dict[int, dict[str, float | str | None]],
    times: LocalTimes,
    named: Named,
    to_link: int,
) -> Block:
    rows, problems = _whole(rows, "part")
    link, sha256, _, seq, utc, *rest = _turned(rows, 22)
    (program, verdict, reason, detail, published, controller, score, limit, bundle, *more) = rest
    count, session, sign_s, decided_s, deadline_s, told_s, simulated, cameras = more
    at = times.of(utc)
    said = [measured.get(one) for one in seq]
    columns = {
        "part_seq": seq,
        "decided_utc": at.utc_ms,
        "decided_local": at.local_ms,
        "shift_day": at.shift_day,
        "shift": at.shift,
        "program": program,
        "verdict": verdict,
        "reason": reason,
        "detail": detail,
        "published": published,
        "controller_judgement": controller,
        "score": score,
        "score_limit": limit,
        "bundle_id": bundle,
        "cameras": cameras,
        "lot": [one and _item(one, named.lot) for one in said],
        "serial": [one and _item(one, named.serial) for one in said],
        "controller_count": count,
        "session": session,
        "decided_ms": _milliseconds(sign_s, decided_s),
        "published_ms": _milliseconds(decided_s, told_s),
        "spare_ms": _milliseconds(decided_s, deadline_s),
        "simulated": [bool(one) for one in simulated],
        "measured": [one and _of_type(one, (float, type(None))) for one in said],
        "measured_text": [one and _of_type(one, (str,)) for one in said],
    }
    return Block(columns, link, sha256, at.day, to_link, problems)


def _cameras(rows: list[tuple[Any, ...]], times: LocalTimes, to_link: int) -> Block:
    link, sha256, _, seq, camera, utc, program, verdict, *rest = _turned(rows, 27)
    outcome, reason, detail, score, limit, bundle, image_sha256, image_name, *more = rest
    shares_text, conditions_text, *pose, timings_text, simulated = more
    at = times.of(utc)
    shares, conditions = _objects(shares_text), _objects(conditions_text)
    columns = {
        "part_seq": seq,
        "camera": camera,
        "decided_utc": at.utc_ms,
        "program": program,
        "verdict": verdict,
        "outcome": outcome,
        "reason": reason,
        "detail": detail,
        "score": score,
        "score_limit": limit,
        "bundle_id": bundle,
        "image_sha256": image_sha256,
        "image_name": image_name,
        **_columns("share_", shares, SHARES),
        **_columns("condition_", conditions, CONDITIONS),
        **{f"align_{name}": values for name, values in zip(POSES, pose, strict=True)},
        "inspection_ms": [sum(one.values()) if one else None for one in _objects(timings_text)],
        "other": _others(shares, conditions),
        "simulated": [bool(one) for one in simulated],
    }
    return Block(columns, link, sha256, at.day, to_link)


def _events(rows: list[tuple[Any, ...]], times: LocalTimes, to_link: int) -> Block:
    rows, problems = _whole(rows, "event")
    link, sha256, _, event_id, kind, utc, detail = _turned(rows, 7)
    at = times.of(utc)
    told = [told_detail(one) or {} for one in detail]
    reviews = [one if of == "REVIEW" else {} for of, one in zip(kind, told, strict=True)]
    columns = {
        "event_id": event_id,
        "kind": kind,
        "at_utc": at.utc_ms,
        "at_local": at.local_ms,
        "part_seq": [_number(one.get("part_seq")) for one in reviews],
        "says": [_text(one.get("says")) for one in reviews],
        "who": [_text(one.get("by")) for one in told],
        "role": [_text(one.get("role")) for one in told],
        "note": [_text(one.get("note")) for one in reviews],
        "detail": [_text(without_values(of, one)) for of, one in zip(kind, detail, strict=True)],
    }
    return Block(columns, link, sha256, at.day, to_link, problems)


def _whole(rows: list[tuple[Any, ...]], kind: str) -> tuple[list[tuple[Any, ...]], tuple[str, ...]]:
    """Those whose row is there, and which is not: the chain has a link for it."""
    gone = tuple(f"link {link}: {kind} {row_id} is gone" for link, _, row_id, found, *_ in rows if found is None)
    return ([row for row in rows if row[3] is not None] if gone else rows), gone


def _turned(rows: list[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _milliseconds(begin: Sequence[float], end: Sequence[float | None]) -> list[float | None]:
    return [None if to is None else (to - at) * 1000 for at, to in zip(begin, end, strict=True)]


def _item(said: dict[str, float | str | None], wanted: str) -> str | None:
    """What the item of that name said, as text; a number without a fraction as a person writes it."""
    for name, value in said.items():
        if name.casefold() == wanted.casefold() and value is not None:
            return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
    return None


def _of_type(said: dict[str, float | str | None], kinds: tuple[type, ...]) -> list[tuple[str, Any]] | None:
    return [(name, value) for name, value in said.items() if isinstance(value, kinds)] or None


def _objects(texts: Sequence[str]) -> list[dict[str, Any]]:
    """JSON objects, empty for what is none."""
    try:
        # As one text: a call for each takes three times as long.
        found = json.loads(f"[{','.join(texts)}]")
    except (ValueError, RecursionError):
        found = []
    if len(found) == len(texts) and all(type(one) is dict for one in found):
        return cast("list[dict[str, Any]]", found)
    return [told_detail(one) or {} for one in texts]


def _columns(prefix: str, objects: list[dict[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    there = set().union(*objects)
    empty = [None] * len(objects)
    return {f"{prefix}{name}": [one.get(name) for one in objects] if name in there else empty for name in names}


def _others(shares: list[dict[str, Any]], conditions: list[dict[str, Any]]) -> list[str | None]:
    """Channels and conditions that have no column, as JSON."""
    if set().union(*shares) <= _SHARES and set().union(*conditions) <= _CONDITIONS:
        return [None] * len(shares)
    return [_other(*both) for both in zip(shares, conditions, strict=True)]


def _other(shares: dict[str, Any], conditions: dict[str, Any]) -> str | None:
    left = {
        "shares": {name: value for name, value in shares.items() if name not in _SHARES},
        "condition": {name: value for name, value in conditions.items() if name not in _CONDITIONS},
    }
    return json.dumps(left) if any(left.values()) else None


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _text(value: object) -> str | None:
    """A text that any file can hold: JSON may name half a character."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None

"""Ready questions to the store. Each is one SELECT; what may be said with it is described beside it.

``chosen_parts`` and ``chosen_cameras`` are the parts and images that --line, --from, --to and --program leave, without
those of simulated peers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.warehouse.columns import CONDITIONS, POSES, SHARES

__all__ = ["CHANNELS", "QUESTIONS", "Parameter", "Question"]

CHANNELS: Final = (
    "score",
    *(f"share_{name}" for name in SHARES),
    *(f"condition_{name}" for name in CONDITIONS),
    *(f"align_{name}" for name in POSES),
    "inspection_ms",
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that is said with --with NAME=VALUE. ``kind`` is what a value has to be; None must be said."""

    name: str
    kind: type[str | int | float]
    default: str | float | None
    meaning: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A ready question. ``{column}`` in ``sql`` is the parameter ``channel``, which is one of CHANNELS.

    ``days`` bounds what is looked at where no --from is given: so many days up to the newest one.
    """

    name: str
    asks: str
    sql: str
    parameters: tuple[Parameter, ...] = ()
    days: int | None = None
    needs_line: bool = False


_FALSE_REJECTS = Question(
    "false-rejects-by-lot",
    "How many parts of each lot were rejected, how many of these people agree about, and how many of these were good.",
    """
SELECT p.line, p.lot, count(*) AS parts, count(*) FILTER (p.verdict = 'REJECT') AS rejected,
  count(*) FILTER (r.says <> 'DISPUTED') AS reviewed, count(*) FILTER (r.says = 'DISPUTED') AS disputed,
  count(*) FILTER (r.says = 'OVERTURNED') AS false_rejects,
  round(false_rejects / nullif(reviewed, 0), 4) AS of_reviewed, round(false_rejects / count(*), 6) AS of_parts,
  min(p.decided_local) AS first_local, max(p.decided_local) AS last_local
FROM chosen_parts p LEFT JOIN (SELECT line, history, part_seq, says FROM settled_reviews WHERE verdict = 'REJECT') r
  ON r.line = p.line AND r.history = p.history AND r.part_seq = p.part_seq AND p.verdict = 'REJECT'
GROUP BY p.line, p.lot HAVING rejected >= $least
ORDER BY false_rejects DESC, rejected DESC, p.line, p.lot
""",
    (Parameter("least", int, 1, "lots with at least so many rejected parts"),),
)
_YIELD = Question(
    "yield-by-shift",
    "Parts, passes, rejects and faults of each line and shift, and the share that passed.",
    """
SELECT line, shift_day, shift, count(*) AS parts,
  count(*) FILTER (verdict = 'PASS') AS passed, count(*) FILTER (verdict = 'REJECT') AS rejected,
  count(*) FILTER (verdict = 'FAULT') AS faults, count(*) FILTER (reason = 'BYPASS') AS by_a_person,
  count(*) FILTER (verdict = 'PASS' AND published IS DISTINCT FROM 'PUBLISHED') AS passed_not_told,
  round(passed / count(*), 5) AS yield
FROM chosen_parts GROUP BY line, shift_day, shift ORDER BY line, shift_day, shift
""",
)
_NEAR = Question(
    "near-the-limit",
    "How many images of each line, camera and bundle passed or failed closely: their scores lie near the limit.",
    """
SELECT line, program, camera, bundle_id, count(*) AS images,
  count(*) FILTER (score < score_limit AND score >= $share * score_limit) AS just_passed,
  count(*) FILTER (score >= score_limit AND score < (2 - $share) * score_limit) AS just_failed,
  round(just_passed / count(*), 5) AS just_passed_share, max(score_limit) AS score_limit,
  max(score) FILTER (score < score_limit) AS highest_passed, min(score) FILTER (score >= score_limit) AS lowest_failed
FROM chosen_cameras WHERE score IS NOT NULL AND score_limit > 0
GROUP BY line, program, camera, bundle_id ORDER BY just_passed_share DESC, line, program, camera, bundle_id
""",
    (Parameter("share", float, 0.9, "from which share of the limit on a score is near it; the same distance above"),),
)
_DRIFT = Question(
    "channel-drift",
    "One channel by line, camera and day: mean, percentiles, and whether the day's mean left its control limits.",
    """
WITH values_of AS (
  SELECT line, program, camera, day, bundle_id, {value} AS value FROM chosen_cameras
  WHERE outcome = 'OK' AND {column} IS NOT NULL),
days AS (
  SELECT line, program, camera, day, count(*) AS images, avg(value) AS mean, stddev_samp(value) AS sd,
    approx_quantile(value, [0.05, 0.5, 0.95]) AS percentiles, max(bundle_id) AS bundle_id,
    min(bundle_id) <> max(bundle_id) AS bundle_changed
  FROM values_of GROUP BY line, program, camera, day HAVING count(*) >= $least),
steps AS (
  SELECT *, row_number() OVER whole AS number, abs(mean - lag(mean) OVER whole) AS step
  FROM days WINDOW whole AS (PARTITION BY line, program, camera ORDER BY day)),
usual AS (
  SELECT line, program, camera, avg(mean) AS centre, 2.66 * avg(step) AS reach FROM steps
  WHERE number <= $usual_days GROUP BY line, program, camera)
SELECT line, program, camera, day, images, mean, sd, percentiles[1] AS p05, percentiles[2] AS p50,
  percentiles[3] AS p95, centre, centre - reach AS lower, centre + reach AS upper,
  abs(mean - centre) > reach AS is_outside, bundle_id, bundle_changed
FROM steps JOIN usual USING (line, program, camera) ORDER BY line, program, camera, day
""",
    (
        Parameter("channel", str, "score", "which column of cameras", CHANNELS),
        Parameter("usual_days", int, 10, "the first so many days say what is usual"),
        Parameter("least", int, 30, "days with at least so many images"),
    ),
)
_PART = Question(
    "part",
    "One part's whole story: its verdict, its images, what people said, and what happened on the line around it.",
    """
WITH one AS (
  SELECT * FROM parts WHERE line IN $lines AND ($part IS NULL OR part_seq = $part)
    AND ($serial = '' OR serial = $serial) AND ($part IS NOT NULL OR $serial <> '')),
story AS (
  SELECT line, history, part_seq, decided_utc AS at_utc, 1 AS place, 'part' AS what,
    concat_ws(' ', verdict, reason, detail) AS says, to_json(one) AS record FROM one
  UNION ALL
  SELECT c.line, c.history, c.part_seq, c.decided_utc, 1 + c.camera, 'camera ' || c.camera,
    concat_ws(' ', c.outcome, c.reason, c.detail), to_json(c) FROM cameras c SEMI JOIN one
    ON one.line = c.line AND one.history = c.history AND one.part_seq = c.part_seq WHERE c.line IN $lines
  UNION ALL
  SELECT r.line, r.history, r.part_seq, r.at_utc, 10, 'review', concat_ws(' ', r.says, 'by', r.who, r.note), to_json(r)
    FROM reviews r SEMI JOIN one ON one.line = r.line AND one.history = r.history AND one.part_seq = r.part_seq
    WHERE r.line IN $lines
  UNION ALL
  SELECT e.line, one.history, one.part_seq, e.at_utc, 9, 'event ' || e.kind, e.detail, to_json(e) FROM events e JOIN one
    ON one.line = e.line AND e.at_utc BETWEEN one.decided_utc - $minutes * INTERVAL 1 MINUTE
      AND one.decided_utc + $minutes * INTERVAL 1 MINUTE
    WHERE e.line IN $lines AND e.kind <> 'REVIEW')
SELECT * FROM story ORDER BY line, history, part_seq, at_utc, place
""",
    (
        Parameter("part", int, None, "the journal's number of the part"),
        Parameter("serial", str, "", "or the part's own number"),
        Parameter("minutes", int, 10, "events of the line so many minutes before and after"),
    ),
    needs_line=True,
)
_TWICE = Question(
    "same-part-on-two-lines",
    "Parts that more than one line saw, by their own number (serial): what each line said of them.",
    """
WITH twice AS (
  SELECT serial FROM chosen_parts WHERE serial IS NOT NULL GROUP BY serial HAVING min(line) <> max(line))
SELECT p.serial, count(*) AS times, count(DISTINCT p.line) AS lines,
  bool_or(p.verdict = 'PASS') AND bool_or(p.verdict <> 'PASS') AS differ,
  list(p.line || ' ' || p.verdict ORDER BY p.decided_utc, p.line) AS verdicts,
  list(p.part_seq ORDER BY p.decided_utc, p.line) AS part_seqs,
  min(p.decided_local) AS first_local, max(p.decided_local) AS last_local
FROM chosen_parts p SEMI JOIN twice USING (serial)
GROUP BY p.serial ORDER BY differ DESC, first_local, p.serial LIMIT $most
""",
    (Parameter("most", int, 1000, "the first so many; those with different verdicts come first"),),
    days=7,
)
_LINES = Question(
    "lines",
    "What the store holds of each line.",
    """
SELECT line, count(*) AS parts, min(day) AS first_day, max(day) AS last_day, max(decided_utc) AS last_utc,
  count(DISTINCT history) AS stretches, count(lot) AS with_lot, count(serial) AS with_serial
FROM chosen_parts GROUP BY line ORDER BY line
""",
)

QUESTIONS: Final = {
    question.name: question for question in (_LINES, _FALSE_REJECTS, _YIELD, _NEAR, _DRIFT, _PART, _TWICE)
}

"""What the store holds: three data sets, their columns, the type and the meaning of each. A promise to who reads it.

A column is never renamed, and never changes its type. What is added is added at the end, with a new
``SCHEMA_VERSION``, which stands in every file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CONDITIONS", "DATASETS", "POSES", "SCHEMA_VERSION", "SHARES", "Column", "Dataset", "Kind"]

SCHEMA_VERSION: Final = 1

Kind = Literal["int64", "int32", "bool", "text", "float64", "float32", "utc", "local", "date", "numbers", "texts"]
"""``utc`` and ``local`` are milliseconds since 1970, the second without a zone; ``numbers`` and ``texts`` are maps."""

SHARES: Final = ("image", "perceptual", "map", "fine", "native", "filtered", "overview", "tone", "autoencoder")
"""Channels and views of the score, each a column ``share_...``."""
CONDITIONS: Final = ("brightness", "contrast", "sharpness", "red", "blue")
POSES: Final = ("quality", "shift_x_px", "shift_y_px", "angle_deg", "gain", "offset", "scale")


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``meaning`` is a sentence for docs/reference/parquet.md."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """One folder of the store. ``row`` says what a row is."""

    name: str
    row: str
    columns: tuple[Column, ...]


_HISTORY = Column(
    "history",
    "text",
    "which stretch of which journal wrote the row: another one after each rotation and each restored backup. "
    "A part of a line is one `history` and one `part_seq`",
)
_SEQ = Column("part_seq", "int64", "the journal's number of the part; after a restored backup numbers are given again")
_UTC = Column("decided_utc", "utc", "when the part was decided, by the clock of the line's PC, in UTC")
_LOCAL = Column("decided_local", "local", "the same by the clock on the wall, in the time zone of the exporting PC")
_PROGRAM = Column("program", "int32", "the controller's program")
_SIMULATED = Column("simulated", "bool", "whether the part came from simulated peers")
_VERDICT = Column("verdict", "text", "PASS, REJECT or FAULT")
_BUNDLE = Column("bundle_id", "text", "the reference bundle that judged")

_PARTS = Dataset(
    "parts",
    "one part",
    (
        _HISTORY,
        _SEQ,
        _UTC,
        _LOCAL,
        Column("shift_day", "date", "the day on which the part's shift began, by the clock on the wall"),
        Column("shift", "text", "when that shift began, as 06:00; `shift_starts` of `[page]` in line.toml says which"),
        _PROGRAM,
        _VERDICT,
        Column("reason", "text", "why, as in docs/reference/reasons.md"),
        Column("detail", "text", "what the journal says of it further"),
        Column("published", "text", "what became of the verdict; empty where the agent stopped before it was told"),
        Column("controller_judgement", "text", "OK or NG, the controller's own"),
        Column("score", "float64", "of the worst camera"),
        Column("score_limit", "float64", "the limit of that camera's bundle; a score at or above it rejects"),
        _BUNDLE,
        Column("cameras", "int32", "how many images the part has in `cameras`"),
        Column("lot", "text", "the lot: what the controller's item of that name said"),
        Column("serial", "text", "the part's own number: what the controller's item of that name said"),
        Column("controller_count", "int64", "the controller's count; it begins anew at times"),
        Column("session", "text", "which run of the controller's count it was"),
        Column("decided_ms", "float32", "milliseconds from the first sign of the part to its verdict"),
        Column("published_ms", "float32", "milliseconds from the verdict to the word on what became of it"),
        Column("spare_ms", "float32", "milliseconds that were left to the deadline when the verdict was made"),
        _SIMULATED,
        Column("measured", "numbers", "what the controller's tools measured, by name; null: not measured"),
        Column("measured_text", "texts", "what the controller's tools said in words, by name"),
    ),
)

_CAMERAS = Dataset(
    "cameras",
    "one image of a part",
    (
        _HISTORY,
        _SEQ,
        Column("camera", "int32", "the camera's number"),
        _UTC,
        _PROGRAM,
        Column("verdict", "text", "the verdict on the whole part"),
        Column("outcome", "text", "what the inspection of this image said: OK, REVIEW or NG; empty: not judged"),
        Column("reason", "text", "why"),
        Column("detail", "text", "what the journal says of it further"),
        Column("score", "float64", "of this image"),
        Column("score_limit", "float64", "the bundle's limit"),
        _BUNDLE,
        Column("image_sha256", "text", "the hash of the very bytes that were judged"),
        Column("image_name", "text", "the controller's name of the image"),
        *(
            Column(f"share_{name}", "float32", f"what `{name}` of the score said, on the scale of the score")
            for name in SHARES
        ),
        *(
            Column(f"condition_{name}", "float32", f"`{name}`: 0 is as of the good parts, beyond -1 and 1 is refused")
            for name in CONDITIONS
        ),
        *(Column(f"align_{name}", "float32", f"how the part lay: `{name}` of the alignment") for name in POSES),
        Column("inspection_ms", "float32", "milliseconds of all steps of the inspection"),
        Column("other", "text", "JSON of channels and conditions that have no column here; mostly empty"),
        _SIMULATED,
    ),
)

_EVENTS = Dataset(
    "events",
    "one event: a review, a bypass, a challenge, a bundle that was activated, a start and so on",
    (
        _HISTORY,
        Column("event_id", "int64", "the journal's number of the event"),
        Column("kind", "text", "START, STOP, REVIEW, BYPASS, CHALLENGE, BUNDLE, RESTORED and so on"),
        Column("at_utc", "utc", "when, by the clock of the line's PC, in UTC"),
        Column("at_local", "local", "the same by the clock on the wall, in the time zone of the exporting PC"),
        Column("part_seq", "int64", "of a REVIEW: the part that it is about, the newest of that number by then"),
        Column("says", "text", "of a REVIEW: CONFIRMED, OVERTURNED, PASS_CONFIRMED or ESCAPE"),
        Column("who", "text", "who did or said it, where the event names somebody"),
        Column("role", "text", "the role of the user who signed, where one did"),
        Column("note", "text", "of a REVIEW: what the person wrote"),
        Column("detail", "text", "the whole event, often JSON; a START without the values of line.toml"),
    ),
)

DATASETS: Final = {dataset.name: dataset for dataset in (_PARTS, _CAMERAS, _EVENTS)}

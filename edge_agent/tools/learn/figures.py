"""Before and after, figure by figure, and which of them are worse: what a person signs for."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from edge_agent.tools.learn.found import Figure
from edge_agent.wording import mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.tools.learn.found import KnownDefect, Replay, Synthetic

__all__ = ["figures_of"]

_POSE = {
    "angle_deg": mark("how far a part may lie turned"),
    "shift_x_px": mark("how far a part may lie aside"),
    "shift_y_px": mark("how far a part may lie up or down"),
    "scale": mark("how large a part may look"),
    "gain": mark("how light or dark a part may look (gain)"),
    "offset": mark("how light or dark a part may look (offset)"),
}
_CONDITION = {
    "brightness": mark("how bright an image may be"),
    "contrast": mark("how much contrast an image may have"),
    "sharpness": mark("how sharp an image may be"),
    "red": mark("how red an image may be"),
    "blue": mark("how blue an image may be"),
}


def figures_of(
    before: Bundle, after: Bundle, defects: Sequence[KnownDefect], synthetic: Synthetic, replay: Replay
) -> tuple[Figure, ...]:
    """Every figure that both bundles have, what lets defects pass first."""
    return (
        *_defects(defects),
        *_synthetic(synthetic),
        *_limit(before, after),
        *_seen(before.manifest, after.manifest),
        *_gates(before.manifest, after.manifest),
        *_replay(replay),
    )


def _defects(defects: Sequence[KnownDefect]) -> Iterator[Figure]:
    if not defects:
        return
    counts = [sum(not judged.passes for judged in side) for side in _sides(defects)]
    yield _less(mark("known defects found"), counts[0], counts[1], lambda value: f"{value} / {len(defects)}")
    found = [one for one in defects if not one.before.passes and not one.after.passes]
    shares = [(a, b) for one in found if (a := one.before.share) is not None and (b := one.after.share) is not None]
    if shares:
        ours, theirs = zip(*shares, strict=True)
        yield _less(mark("score of the weakest known defect, times the limit"), min(ours), min(theirs), _four)
        yield _less(mark("score of the usual known defect, times the limit"), median(ours), median(theirs), _four)


def _sides(defects: Sequence[KnownDefect]) -> tuple[list[Any], list[Any]]:
    return [one.before for one in defects], [one.after for one in defects]


def _synthetic(made: Synthetic) -> Iterator[Figure]:
    if made.made:
        yield _less(mark("synthetic defects found"), made.before, made.after, lambda value: f"{value} / {made.made}")
        yield _less(
            mark("of the fainter half of them"),
            made.faint_before,
            made.faint_after,
            lambda value: f"{value} / {made.faint}",
        )


def _limit(before: Bundle, after: Bundle) -> Iterator[Figure]:
    ours, theirs = before.manifest["limit"], after.manifest["limit"]
    yield _more(mark("limit"), before.review_from, after.review_from, _four)
    for key, name in (
        ("expected", mark("good parts expected to be rejected")),
        ("bound_95", mark("good parts rejected, at most (95 % confidence)")),
    ):
        a, b = ours.get(key), theirs.get(key)
        if a is not None and b is not None:
            yield _more(name, a, b, lambda value: f"{100 * value:.3g} %")
    numbers = [len(bundle.manifest["training_images"]) for bundle in (before, after)]
    yield _less(mark("good parts that it was made of"), numbers[0], numbers[1], str)


def _seen(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Figure]:
    a, b = (list(m["method"].get("views") or m["method"].get("channels") or ()) for m in (before, after))
    if a or b:
        yield Figure(mark("what the score looks at"), ", ".join(a) or "-", ", ".join(b) or "-", bool(set(a) - set(b)))


def _gates(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Figure]:
    ours, theirs = before["align"], after["align"]
    for key, name, figure in (
        ("quality_min", mark("least quality of registration"), _less),
        ("likeness_min", mark("least likeness as a whole"), _less),
        ("unseen_max", mark("largest share out of view"), _more),
    ):
        if key in ours and key in theirs:
            yield figure(name, ours[key], theirs[key], _four)
        elif key in ours:
            yield Figure(name, _four(ours[key]), mark("not judged"), is_worse=True)
    yield from _spans(_POSE, ours.get("pose", {}), theirs.get("pose", {}))
    yield from _spans(_CONDITION, before.get("condition", {}), after.get("condition", {}))


def _spans(names: Mapping[str, str], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Figure]:
    """Bounds between which a part is judged at all; only those that reach further now are told."""
    for key, name in names.items():
        a, b = before.get(key), after.get(key)
        if a is None:
            continue
        if b is None:
            yield Figure(name, _span(a), mark("not judged"), is_worse=True)
        elif _rounded(b["least"]) < _rounded(a["least"]) or _top(b) > _top(a):
            yield Figure(name, _span(a), _span(b), is_worse=True)


def _replay(replay: Replay) -> Iterator[Figure]:
    to_reject, passes = replay.of_passes
    if passes:
        yield _more(
            mark("parts of the archive that pass today, rejected"), 0, to_reject, lambda value: f"{value} / {passes}"
        )
    for known, name, figure in (
        ("good", mark("parts of the archive that people know as good, rejected"), _more),
        ("bad", mark("parts of the archive that people know as defective, rejected"), _less),
    ):
        (a, of), (b, _) = (replay.rejected(known, is_after=is_after) for is_after in (False, True))
        if of:
            yield figure(name, a, b, _of(of))


def _more(name: str, before: float, after: float, words: Callable[[Any], str]) -> Figure:
    """A figure that is worse where it is more."""
    return Figure(name, words(before), words(after), _rounded(after) > _rounded(before))


def _less(name: str, before: float, after: float, words: Callable[[Any], str]) -> Figure:
    """A figure that is worse where it is less."""
    return Figure(name, words(before), words(after), _rounded(after) < _rounded(before))


def _rounded(value: float) -> float:
    """As it is told: what nobody can read as a difference is none."""
    return float(f"{value:.4g}")


def _of(number: int) -> Callable[[Any], str]:
    return lambda value: f"{value} / {number}"


def _four(value: float) -> str:
    return f"{value:.4g}"


def _span(one: Mapping[str, Any]) -> str:
    most = one["most"]
    return f"{_four(one['least'])} ... {'∞' if most is None else _four(most)}"


def _top(one: Mapping[str, Any]) -> float:
    return float("inf") if one["most"] is None else _rounded(one["most"])

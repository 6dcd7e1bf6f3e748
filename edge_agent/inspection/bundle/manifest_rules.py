"""What a manifest may say: every value that something is computed with, its type, its bounds and their reason.

The id proves that a manifest is what somebody wrote, not that it makes sense: a limit of 1e300 passes every part. What
is not named here (who made it with which versions, and how well it went) is for people, and has bounds of its own kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["RULES", "Rule", "broken_rule"]

_LONG_SIDE: Final = 1_250_000
_SIDE: Final = "a side has 32 px for registration, and 40 million pixels in all are the most that is decoded"
_SCORE: Final = "thousands of features, each a hundred spreads from good parts, stay below it"
_POSE: Final = "the margin beyond good parts is a dozen times their spread at most"
_GREY: Final = "grey values of 0 to 255, and a range of good parts is no wider than a few times that"
_RATIO: Final = "a channel over another, or fine over coarse structure, each at least one grey value of 255"
_MS: Final = "an inspection takes no quarter of an hour"
_TEXT: Final = 4000
_LONGEST_KEY: Final = 200
# Whole numbers up to there are exact in double precision, which is what other programs read JSON as.
_MOST_FIGURE: Final = 1e15
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One value: whole number, number, text (then the bounds are of its length), flag, sha256 or object.

    ``low`` and ``high`` belong to what is allowed, and ``why`` says where they are from.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    why: str = ""
    may_lack: bool = False
    may_be_null: bool = False

    def broken(self, value: object) -> str:
        """Empty where the value is allowed; else what it is not, in words."""
        if value is None and self.may_be_null:
            return ""
        if not _IS[self.kind](value):
            return f"is not {_WORDS[self.kind]}: {_said(value)}"
        if self.kind in ("whole", "number") and not self.low <= value <= self.high:  # type: ignore[operator]
            return f"is {_said(value)}, allowed is {self.low:.9g} to {self.high:.9g}: {self.why}"
        if self.kind == "text" and not self.low <= len(value) <= self.high:  # type: ignore[arg-type]
            return f"has {len(value)} characters, allowed are {self.low:g} to {self.high:g}"  # type: ignore[arg-type]
        return ""


_IS: Final[Mapping[str, Any]] = {
    # ``type`` and not ``isinstance``: in Python True is an int, in a manifest it is none.
    "whole": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "sha256": lambda value: isinstance(value, str) and _SHA256.fullmatch(value) is not None,
    "object": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
}
_WORDS: Final = {
    "whole": "a whole number",
    "number": "a number",
    "text": "a string",
    "flag": "true or false",
    "sha256": "a sha256",
    "object": "an object",
    "list": "a list",
}


def _whole(low: float, high: float, why: str, *, may_lack: bool = False) -> Rule:
    return Rule("whole", low, high, why, may_lack)


def _number(low: float, high: float, why: str, *, may_lack: bool = False) -> Rule:
    return Rule("number", low, high, why, may_lack)


def _text(least: int = 1, most: int = _TEXT, *, may_lack: bool = False) -> Rule:
    return Rule("text", least, most, may_lack=may_lack)


_SHARE: Final = Rule("number", 0.0, 1.0, "a share of good parts", may_lack=True, may_be_null=True)
_SPAN: Final = Rule("object", may_lack=True)

RULES: Final[Mapping[str, Rule]] = {
    "id": Rule("sha256"),
    "part": _text(1, 200),
    "program": _whole(0, 999, "the controller's program numbers"),
    "camera": _whole(1, 4, "the controller's camera numbers"),
    "created": _text(1, 64),
    "versions": Rule("object"),
    "versions.*": _text(0, 200),
    "seed": _whole(-(2**63), 2**63, "a number of 64 bits", may_lack=True),
    "image": Rule("object"),
    "image.height": _whole(32, _LONG_SIDE, _SIDE),
    "image.width": _whole(32, _LONG_SIDE, _SIDE),
    "image.channels": _whole(1, 3, "grey has one, colour has three"),
    "image.zero_tail_rows": _whole(0, _LONG_SIDE, "no more rows than an image has"),
    "image.stray_share": _number(0.0, 1.0, "a share of the pixels of a black ground", may_lack=True),
    "reference_image": _text(),
    "training_images": Rule("list"),
    "training_images[]": Rule("object"),
    "training_images[].name": _text(),
    "training_images[].sha256": Rule("sha256"),
    "training_images[].heldout_score": _number(-1e9, 1e9, _SCORE),
    "left_out_images": Rule("list", may_lack=True),
    "left_out_images[]": Rule("object"),
    "left_out_images[].name": _text(),
    "left_out_images[].sha256": Rule("sha256"),
    "kept_images": Rule("list", may_lack=True),
    "kept_images[]": Rule("object"),
    "kept_images[].name": _text(),
    "kept_images[].sha256": Rule("sha256"),
    "registration": Rule("object"),
    "registration.max_angle_deg": _number(0.0, 180.0, "half a turn each way is every angle", may_lack=True),
    "registration.max_shift_fraction": _number(0.001, 0.499, "below one half: the rest has to overlap", may_lack=True),
    "registration.pixels": _whole(500, 1_000_000, "fewer do not fix a pose, more only take time", may_lack=True),
    "registration.motion_margin": _number(0.0, 1.0, "a difference of two correlations", may_lack=True),
    "registration.max_scale": _number(0.0, 0.3, "a part may look larger or smaller by 30 % at most", may_lack=True),
    "registration.still": Rule("flag", may_lack=True),
    "registration.off": Rule("flag", may_lack=True),
    "questions": Rule("object", may_lack=True),
    "questions.*": Rule("object"),
    "questions.*.answer": _text(1, 64),
    "questions.*.why": _text(),
    "questions.*.figures": Rule("object"),
    "questions.*.figures.*": _number(0.0, 1.0, "how often a synthetic defect is above a good part"),
    "align": Rule("object"),
    "align.quality_min": _number(-1.0, 1.0, "a correlation"),
    "align.likeness_min": _number(-1.0, 1.0, "a correlation", may_lack=True),
    "align.unseen_max": _number(0.0, 1.1, "a share of the inspected area, with a little slack"),
    "align.pose": Rule("object"),
    **{
        f"align.pose.{quantity}{end}": rule
        for quantity, most in {
            "angle_deg": 1000.0,
            "shift_x_px": 1e6,
            "shift_y_px": 1e6,
            "scale": 100.0,
            "gain": 1e4,
            "offset": 1e5,
        }.items()
        for end, rule in {
            "": _SPAN,
            **dict.fromkeys((".low", ".high", ".least", ".most"), _number(-most, most, _POSE)),
        }.items()
    },
    "condition": Rule("object", may_lack=True),
    **{
        f"condition.{quantity}{end}": rule
        for quantity, (most, why) in {
            "brightness": (1e3, _GREY),
            "contrast": (1e3, _GREY),
            "sharpness": (1e3, _RATIO),
            "red": (1e3, _RATIO),
            "blue": (1e3, _RATIO),
        }.items()
        for end, rule in {
            "": _SPAN,
            **dict.fromkeys((".usual", ".low", ".high", ".least"), _number(-most, most, why)),
            ".most": Rule("number", -most, most, why, may_be_null=True),
        }.items()
    },
    "crop": Rule("list"),
    "crop[]": _whole(0, _LONG_SIDE, "a place inside the reference image"),
    "patches": Rule("object"),
    "patches.working_height": _whole(16, 2048, "calibration works at 256 px at most"),
    "patches.working_width": _whole(16, 2048, "calibration works at 256 px at most"),
    "patches.patch": _whole(8, 512, "calibration cuts patches of 32 or 64 px"),
    "patches.stride": _whole(4, 512, "calibration cuts a patch every 16 or 32 px"),
    "method": Rule("object"),
    "method.score": _text(1, 64),
    "method.k": _whole(1, 10_000, "neighbours among the good parts", may_lack=True),
    "method.native": Rule("list", may_lack=True),
    "method.native[]": _whole(1, _LONG_SIDE, "a part is seen no larger than its crop is"),
    "method.channels": Rule("object", may_lack=True),
    "method.channels.*": Rule("object"),
    "method.channels.*.usual": _number(0.0, 1e9, _SCORE),
    "method.channels.*.odd": _number(1e-9, 1e9, _SCORE),
    "method.views": Rule("object", may_lack=True),
    "method.views.*": Rule("object"),
    "method.views.*.usual": _number(-1e9, 1e9, _SCORE),
    "method.views.*.odd": _number(-1e9, 1e9, _SCORE),
    "method.views.*.usual_anywhere": _number(0.0, 1e9, _SCORE),
    "method.views.*.spread_anywhere": _number(1e-9, 1e9, _SCORE),
    "method.views.*.place_share": _number(0.0, 1.0, "a share of the mean"),
    "method.views.*.is_tied": Rule("flag", may_lack=True),
    "method.views.*.is_beside": Rule("flag", may_lack=True),
    "method.views.*.plane": _text(1, 16, may_lack=True),
    "method.views.*.bank_parts": _whole(1, 100_000, "good parts in the memory", may_lack=True),
    "autoencoder": Rule("object"),
    "limit": Rule("object"),
    "limit.value": _number(0.0, 1e9, f"nothing could be judged by less, everything would pass by more: {_SCORE}"),
    "limit.review_from": _number(0.0, 1e9, "the review band ends at the limit"),
    "limit.statement": _text(),
    "limit.expected": _SHARE,
    "limit.bound_95": _SHARE,
    "limit.target": _SHARE,
    "limit_changes": Rule("list", may_lack=True),
    "limit_changes[]": Rule("object"),
    "limit_changes[].parent": Rule("sha256"),
    "limit_changes[].limit": _number(0.0, 1e9, f"it was a limit: {_SCORE}"),
    "limit_changes[].to": _number(0.0, 1e9, f"it is to be a limit: {_SCORE}"),
    "limit_changes[].by": _text(1, 200),
    "limit_changes[].at_utc": _text(1, 64),
    "limit_changes[].why": _text(1, 200),
    "limit_changes[].known_defects": Rule("list", may_lack=True),
    "limit_changes[].known_defects[]": _text(),
    "asked": Rule("object", may_lack=True),
    "learned": Rule("object", may_lack=True),
    "learned.parent": Rule("sha256"),
    "learned.by": _text(1, 200),
    "learned.at_utc": _text(1, 64),
    "learned.why": _text(0, 200),
    "learned.is_compared": Rule("flag"),
    **{
        f"learned.{which}{end}": rule
        for which in ("added", "defects")
        for end, rule in {
            "": Rule("list"),
            "[]": Rule("object"),
            "[].part": _text(1, 64),
            "[].sha256": Rule("sha256"),
            "[].words": Rule("list"),
            "[].words[]": Rule("object"),
            "[].words[].journal": _text(0, 200),
            "[].words[].event": _whole(0, 2**63 - 1, "the number of a journal's event"),
            "[].words[].by": _text(0, 200),
            "[].words[].says": _text(1, 64),
        }.items()
    },
    "learned.worse": Rule("list"),
    "learned.worse[]": Rule("object"),
    "learned.worse[].what": _text(1, 200),
    "learned.worse[].before": _text(1, 200),
    "learned.worse[].after": _text(1, 200),
    "defective": Rule("object", may_lack=True),
    "defective.statement": _text(),
    "time": Rule("object", may_lack=True),
    "time.within_ms": Rule("number", 0.0, 1e6, _MS, may_lack=True, may_be_null=True),
    "time.took_ms": _number(0.0, 1e6, _MS),
    "time.worst_ms": _number(0.0, 1e6, _MS),
    "time.pixels": Rule("whole", 1, 1e8, "pixels shown to the network", may_lack=True, may_be_null=True),
    "time.cpu": _text(1, 200),
    "time.threads": _whole(1, 64, "threads of one inspection"),
    "time.cost": Rule("object", may_lack=True),
    "usual": Rule("object", may_lack=True),
    "usual.*": Rule("object"),
    "usual.*.mean": _number(-1e9, 1e9, _SCORE),
    "usual.*.spread": _number(1e-9, 1e9, _SCORE),
    "usual.*.wander": _number(0.0, 10.0, "spreads that a mean moves about by itself"),
    "usual.*.parts": _whole(10, 1_000_000, "good parts, and fewer do not say what is usual"),
    "files": Rule("object"),
    "files.*": Rule("sha256"),
}
"""By path: ``*`` is every key of an object, ``[]`` every entry of a list."""

_CLOSED: Final = (
    "image",
    "registration",
    "patches",
    "align.pose",
    "condition",
    "method.views.*",
    "usual.*",
    "limit_changes[]",
    "learned",
    "learned.added[]",
    "learned.defects[]",
    "learned.worse[]",
    *(p for p, r in RULES.items() if r is _SPAN),
)
"""Objects whose every value decides something: a key that is not known here would be overlooked."""


def broken_rule(manifest: Mapping[str, Any]) -> str:
    """The first thing in a manifest that cannot be, in words; empty where there is none."""
    for path, rule in RULES.items():
        for where, holder, key in _places(manifest, path):
            if isinstance(holder, dict) and key not in holder:
                if not rule.may_lack:
                    return f"{where} is missing"
            elif words := rule.broken(holder[key]):
                return f"{where} {words}"
    for path in _CLOSED:
        for where, holder, key in _places(manifest, path):
            below = [p.removeprefix(f"{path}.").partition(".")[0] for p in RULES if p.startswith(f"{path}.")]
            known = {name.removesuffix("[]") for name in below}
            value = holder[key] if isinstance(holder, list) else holder.get(key, {})
            unknown = sorted(set(value) - known)
            if unknown:
                return f"{where}: {_said(unknown[0])} is not known; known are {', '.join(sorted(known))}"
    return _odd_figure_or_text(manifest)


def _places(node: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Everywhere that a path leads to in what is there: its name for a person, the holder and the key in it."""
    yield from _below(node, re.findall(r"[^.\[]+|\[\]", path), "")


def _below(node: Any, steps: list[str], at: str) -> Iterator[tuple[str, Any, Any]]:
    step, rest = steps[0], steps[1:]
    keys: list[Any] = [step]
    if step == "[]":
        keys = list(range(len(node)))
    elif step == "*":
        keys = list(node)
    for key in keys:
        where = f"{at}[{key}]" if step == "[]" else f"{at}.{_plain(key)}".removeprefix(".")
        if not rest:
            yield where, node, key
        elif step in ("[]", "*") or key in node:
            yield from _below(node[key], rest, where)


def _odd_figure_or_text(manifest: Mapping[str, Any]) -> str:
    """What no rule names: figures within reason, texts that a screen can show."""
    todo: list[tuple[str, Any]] = [("", dict(manifest))]
    while todo:
        where, node = todo.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if len(key) > _LONGEST_KEY or _CONTROL.search(key):
                    return f"{where or 'it'} has a key that is too long, or has control characters: {_said(key)}"
                todo.append((f"{where}.{key}".removeprefix("."), value))
        elif isinstance(node, list):
            todo += [(f"{where}[{index}]", value) for index, value in enumerate(node)]
        elif isinstance(node, str):
            if len(node) > _TEXT or _CONTROL.search(node):
                return f"{where} is longer than {_TEXT} characters, or has control characters: {_said(node)}"
        elif type(node) in (int, float) and abs(node) > _MOST_FIGURE and where != "seed":
            return f"{where} is {_said(node)}: no figure of a calibration is above {_MOST_FIGURE:g}"
    return ""


def _plain(key: object) -> str:
    return str(key) if str(key).isprintable() else ascii(key)


def _said(value: object) -> str:
    """The value as it stands in the file, cut where it is long, without what a screen would obey."""
    words = ascii(value) if isinstance(value, str) else repr(value)
    words = words if words.isprintable() else ascii(words)
    return words if len(words) <= 80 else f"{words[:80]}..."

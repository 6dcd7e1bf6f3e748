"""What differs between two bundles, in words: for whoever signs that the line may judge by the newer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_agent.inspection.bundle.learned import learned_of
from edge_agent.inspection.bundle.limit_changes import limit_changes
from edge_agent.inspection.bundle.promise import Promise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = ["Difference", "compare"]

_NAMED_AT_MOST = 5
_FILES = {
    "reference.png": "the reference image",
    "cpcae.onnx": "the trained autoencoder",
    "backbone.onnx": "the pre-trained network",
    "fine.onnx": "the network for the part at full size",
    "bank.npz": "the memory of good parts",
    "golden.npz": "the golden values",
    "mask.png": "the registration mask",
    "part.png": "where the part is",
    "shown.png": "where good parts are not black",
}
_SECTIONS = {
    "image": "image",
    "crop": "inspected area x, y, width, height in px",
    "patches": "patches",
    "registration": "registration",
    "backbone": "backbone",
    "seed": "seed",
}
_SEEN = {"channels": "channel", "views": "view"}
"""What a score may see of a part: the manifest's key, and what one of them is called."""
_LIMIT_WORDS = {
    "value": "limit",
    "review_from": "REVIEW begins at",
    "n": "good parts that the limit comes from",
}
_SHARE_WORDS = {
    "expected": "good parts expected to be rejected",
    "bound_95": "good parts rejected, at most (95 % confidence)",
    "target": "good parts rejected, as asked for",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same; ``a`` and ``b`` are what each bundle has, in words."""

    topic: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.a} -> {self.b}"


def compare(a: Bundle, b: Bundle) -> list[Difference]:
    """Every difference, the weightiest first; empty if both judge alike and were made of the same images."""
    ours, theirs = a.manifest, b.manifest
    found = [
        *_each(_place(a), _place(b), ""),
        *_limit(ours["limit"], theirs["limit"]),
        *_each(_changed(ours), _changed(theirs), ""),
        *_images(a, b),
        *_each(_score(ours["method"]), _score(theirs["method"]), ""),
        *_reference(a, b),
        *_time(a, b),
        *_each(_gate(ours["align"]), _gate(theirs["align"]), ""),
    ]
    for key, words in _SECTIONS.items():
        found += _each(_flat(ours.get(key)), _flat(theirs.get(key)), words)
    found += _each(_flat(ours["versions"]), _flat(theirs["versions"]), "version of")
    found += _each(_flat(ours["autoencoder"]), _flat(theirs["autoencoder"]), "autoencoder")
    files, other = ours["files"], theirs["files"]
    for name in sorted({*files, *other}):
        if files.get(name) != other.get(name):
            found.append(Difference(_FILES.get(name, name), _hash(files.get(name)), _hash(other.get(name))))
    return found


def _place(bundle: Bundle) -> dict[str, Any]:
    return {"part": bundle.part, "program": bundle.program, "camera": bundle.camera}


def _limit(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    def words(limit: Mapping[str, Any]) -> dict[str, Any]:
        shares = {name: limit.get(key) for key, name in _SHARE_WORDS.items()}
        plain = {name: limit.get(key) for key, name in _LIMIT_WORDS.items()}
        return plain | {name: None if share is None else f"{100 * share:.3g} %" for name, share in shares.items()}

    found = _each(words(a), words(b), "")
    if found and a["statement"] != b["statement"]:
        found.append(Difference("what the limit promises", a["statement"], b["statement"]))
    return found


def _changed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """By whom the limit was set since the calibration, and of which bundle this one was made, or learned."""
    learned = learned_of(manifest)
    return {
        "limit set by hand": [str(change) for change in limit_changes(manifest)],
        "learned from its line": None if learned is None else str(learned),
    }


def _score(method: Mapping[str, Any]) -> dict[str, Any]:
    """How the score is defined; of one with channels or views which scores stand for 0 and for 1 in each of them."""
    found = {"score": method["score"]}
    for kind, one in _SEEN.items():
        seen = method.get(kind, {})
        found[kind] = ", ".join(seen) or None
        for name, facts in seen.items():
            found[f"scale of the {name} {one}"] = f"0 at {_said(facts['usual'])}, 1 at {_said(facts['odd'])}"
    return found | {f"score {key}": value for key, value in method.items() if key not in ("score", *_SEEN)}


def _gate(align: Mapping[str, Any]) -> dict[str, Any]:
    """When a part counts as registered."""
    pose = {name: f"{_said(one['least'])} to {_said(one['most'])}" for name, one in align.get("pose", {}).items()}
    return {
        "least quality of registration": align.get("quality_min"),
        "least likeness as a whole": align.get("likeness_min"),
        "largest share out of view": align.get("unseen_max"),
        "where a part may lie": ", ".join(f"{name} {span}" for name, span in pose.items()) or "anywhere",
        "what the gate can stop": align.get("notes"),
    }


def _images(a: Bundle, b: Bundle) -> list[Difference]:
    """By their bytes, not by their names."""
    ours, theirs = ({i["sha256"]: i["name"] for i in bundle.manifest["training_images"]} for bundle in (a, b))
    gone, new = ([m[s] for s in m if s not in other] for m, other in ((ours, theirs), (theirs, ours)))
    found = []
    if gone or new:
        both = len(ours) - len(gone)
        found.append(
            Difference(
                f"good images ({both} in both)",
                f"{len(ours)}, {_named(gone)} only here",
                f"{len(theirs)}, {_named(new)} only here",
            )
        )
    for key, words in (("left_out_images", "left out by a person"), ("kept_images", "kept by a person")):
        by_hand = [[f"{i['name']} {i['sha256'][:8]}" for i in bundle.manifest.get(key, [])] for bundle in (a, b)]
        if by_hand[0] != by_hand[1]:
            found.append(Difference(words, _named(by_hand[0]), _named(by_hand[1])))
    return found


def _reference(a: Bundle, b: Bundle) -> list[Difference]:
    if a.reference.shape != b.reference.shape:
        return [Difference("reference image", str(a.reference.shape), str(b.reference.shape))]
    # In float: differences of bytes would go round at 0.
    apart = float(np.abs(a.reference.astype(np.float32) - b.reference).mean())
    if apart == 0.0:
        return []
    names = (str(bundle.manifest["reference_image"]) for bundle in (a, b))
    return [Difference(f"reference image (mean difference {apart:.1f} of 255 grey values)", *names)]


def _time(a: Bundle, b: Bundle) -> list[Difference]:
    """What each was made to take, and where: two runs on one PC never take quite the same, which is no difference."""
    ours, theirs = (Promise.of(bundle.manifest) for bundle in (a, b))
    meant = [None if one is None else (one.within_ms, one.cpu, one.threads) for one in (ours, theirs)]
    if meant[0] == meant[1]:
        return []
    words = ["not measured" if one is None else one.words for one in (ours, theirs)]
    return [Difference("time of an inspection where it was made", words[0], words[1])]


def _each(a: Mapping[str, Any], b: Mapping[str, Any], words: str) -> list[Difference]:
    named: Callable[[str], str] = lambda key: f"{words} {key}".strip()  # noqa: E731
    return [
        Difference(named(key), _said(a.get(key)), _said(b.get(key)))
        for key in dict.fromkeys([*a, *b])
        if a.get(key) != b.get(key)
    ]


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    """A section as dotted keys to plain values."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{at}.{key}" if at else key).items()}
    return {at: value}


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return (", ".join(names[:_NAMED_AT_MOST]) or "none") + more


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "; ".join(map(_said, value)) or "none"
    return "none" if value is None else str(value)


def _hash(sha256: str | None) -> str:
    return "none" if sha256 is None else sha256[:12]

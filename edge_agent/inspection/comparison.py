"""What differs between two bundles, in words: for whoever signs that the line may judge by the newer one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_agent.inspection.bundle import Bundle

__all__ = ["Difference", "compare"]

_NAMED_AT_MOST = 5
_FILES = {
    "reference.png": "the reference image",
    "cpcae.onnx": "the trained autoencoder",
    "backbone.onnx": "the pre-trained network",
    "fine.onnx": "the network of the fine channel",
    "bank.npz": "the memory of good parts",
    "golden.npz": "the golden values",
    "mask.png": "the registration mask",
}
_SECTIONS = {
    "image": "image",
    "crop": "inspected area",
    "patches": "patches",
    "registration": "registration",
    "align": "registration gate",
    "backbone": "backbone",
    "method": "score",
    "seed": "seed",
}
_LIMIT_WORDS = ("value", "review_from", "expected", "bound_95", "target", "n")


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
    found = [
        *_each({"part": a.part, "program": a.program, "camera": a.camera},
               {"part": b.part, "program": b.program, "camera": b.camera}, ""),
        *_limit(a.manifest["limit"], b.manifest["limit"]),
        *_channels(a.manifest["method"], b.manifest["method"]),
        *_images(a, b),
        *_reference(a, b),
    ]  # fmt: skip
    for key, words in _SECTIONS.items():
        found += _each(_flat(a.manifest.get(key)), _flat(b.manifest.get(key)), words)
    found += _each(_flat(a.manifest["versions"]), _flat(b.manifest["versions"]), "version of")
    found += _each(_flat(a.manifest["autoencoder"]), _flat(b.manifest["autoencoder"]), "autoencoder")
    ours, theirs = a.manifest["files"], b.manifest["files"]
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            found.append(Difference(_FILES.get(name, name), _hash(ours.get(name)), _hash(theirs.get(name))))
    return found


def _limit(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    found = _each({k: a.get(k) for k in _LIMIT_WORDS}, {k: b.get(k) for k in _LIMIT_WORDS}, "limit")
    if found and a["statement"] != b["statement"]:
        found.append(Difference("what the limit promises", a["statement"], b["statement"]))
    return found


def _channels(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    ours, theirs = (", ".join(method.get("channels", {})) or method["score"] for method in (a, b))
    return [] if ours == theirs else [Difference("channels", ours, theirs)]


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
    left = [[f"{i['name']} {i['sha256'][:8]}" for i in bundle.manifest.get("left_out_images", [])] for bundle in (a, b)]
    if left[0] != left[1]:
        found.append(Difference("left out by a person", _named(left[0]), _named(left[1])))
    return found


def _reference(a: Bundle, b: Bundle) -> list[Difference]:
    if a.reference.shape != b.reference.shape:
        return [Difference("reference image", str(a.reference.shape), str(b.reference.shape))]
    apart = float(np.abs(a.reference.astype(np.float32) - b.reference).mean())
    if apart == 0.0:
        return []
    names = (str(bundle.manifest["reference_image"]) for bundle in (a, b))
    return [Difference(f"reference image (mean difference {apart:.1f} of 255 grey values)", *names)]


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

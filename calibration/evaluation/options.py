"""What a person may ask of an evaluation, and what cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.backbones import DEFAULT_BACKBONE, Backbone
from calibration.evaluation.trial import TITLES, WITH_CHANNELS
from calibration.method import DEFAULT_METHOD, METHODS
from edge_agent.errors import UsageError

if TYPE_CHECKING:
    from edge_agent.inspection.networks.channels import Channel, Voice

__all__ = ["EvaluationOptions", "counts_from", "methods_named"]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """``seeds`` are counted from 0. With ``train_images`` that many are drawn, ``repeats`` times; None takes all.

    ``counts`` are the numbers of training images of a learning curve. ``channels`` are those of the local score, none:
    all that fit the crop; ``voices`` those of the mean of views. ``with_gallery`` collects pictures for a report;
    ``with_drift`` judges every test image again under each disturbance, for methods of this tool.
    """

    methods: tuple[str, ...] = (DEFAULT_METHOD,)
    seeds: int = 1
    train_images: int | None = None
    counts: tuple[int, ...] = ()
    repeats: int = 1
    channels: tuple[Channel, ...] = ()
    backbone: Backbone = DEFAULT_BACKBONE
    voices: tuple[Voice, ...] = ()
    threads: int = 2
    with_gallery: bool = False
    with_drift: bool = False

    def check(self) -> None:
        """Raise UsageError for what does not go together."""
        if not self.methods:
            raise UsageError("no method to evaluate", hint=f"methods: all, or of {', '.join(TITLES)}")
        methods_named(",".join(self.methods))
        if self.channels and not WITH_CHANNELS & set(self.methods):
            named = f"method {self.methods[0]} has" if len(self.methods) == 1 else "these methods have"
            raise UsageError(f"{named} no channels to choose", hint="leave --channels out")
        if self.voices and "views" not in self.methods:
            raise UsageError("voices without the method views", hint="leave --voices out, or add --methods views")
        if self.backbone.has_own_taps and "paper" not in self.methods:
            raise UsageError("taps without the method paper", hint="leave --backbone-taps out, or add --methods paper")
        if self.with_drift and not set(METHODS) & set(self.methods):
            raise UsageError("drift without a method of this tool", hint=f"add one of {', '.join(METHODS)}")
        if self.seeds < 1 or self.repeats < 1:
            raise UsageError(f"{self.seeds} seeds and {self.repeats} repeats", hint="ask for at least one of each")
        if self.counts and self.train_images is not None:
            raise UsageError("a learning curve says itself how many training images", hint="leave out --train-images")
        if self.repeats > 1 and self.train_images is None and not self.counts:
            raise UsageError("repeats draw training images anew", hint="say how many with --train-images")

    def title_of(self, method: str) -> str:
        """The method's name for people, with the channels that were asked for."""
        asked = f", {' + '.join(self.channels)} alone" if self.channels and method in WITH_CHANNELS else ""
        return f"{TITLES[method]}{asked}"


def methods_named(text: str) -> tuple[str, ...]:
    """Method names from ``all`` or a list with commas, each once. Raises UsageError for a name there is not."""
    if text.strip() == "all":
        return tuple(TITLES)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in TITLES:
            raise UsageError(f"no method {name!r}", hint=f"methods: all, or of {', '.join(TITLES)}")
    return names


def counts_from(text: str) -> tuple[int, ...]:
    """Ascending numbers of training images from a list with commas. Raises UsageError."""
    try:
        counts = tuple(sorted({int(count) for count in text.split(",")}))
    except ValueError as err:
        raise UsageError(f"{text!r} is no list of numbers", hint="for example 20,40,80") from err
    if len(counts) < 2:
        raise UsageError("a curve needs two numbers of training images", hint="for example 20,40,80")
    return counts

"""Options that the commands about calibration share, and how their text becomes values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_agent.inspection.networks.channels import Channel, Voice

__all__ = [
    "Backbone",
    "BackboneScaling",
    "BackboneTaps",
    "BackboneWeights",
    "Channels",
    "Scheduler",
    "Voices",
    "WithoutTls",
    "Workers",
    "channels_of",
    "crop_of",
    "voices_of",
]

Backbone = Annotated[str, typer.Option(help="Pre-trained network: efficientnet-lite0, xception or FILE.onnx.")]
BackboneWeights = Annotated[Path | None, typer.Option(help="Xception's, as Keras writes them; else Keras' own store.")]
BackboneTaps = Annotated[
    str,
    typer.Option(
        metavar="A,B",
        help="FILE.onnx: tensors to take, from fine to coarse. efficientnet-lite0: where the method paper looks, of "
        "blocks 0 to 15 and last.",
    ),
]
BackboneScaling = Annotated[str, typer.Option(metavar="MEAN/STD", help="FILE.onnx: of RGB in [0, 1], as r,g,b/r,g,b.")]
Voices = Annotated[
    str, typer.Option(metavar="NAME,...", help=f"Method views: whose views count, of {', '.join(Voice)}.")
]
Channels = Annotated[
    str,
    typer.Option(metavar="all|NAME,...", help=f"Look at the part in these of {', '.join(Channel)}; all: all that fit."),
]

Workers = Annotated[
    int | None,
    typer.Option(min=1, max=1024, metavar="N", help="Images, folds and candidates by so many processes of this PC."),
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="The same by the workers of a Dask scheduler, tls://HOST:8786.")
]
WithoutTls = Annotated[
    bool, typer.Option("--without-tls", help="Take a scheduler that is not encrypted, tcp://HOST:8786.")
]


def crop_of(text: str) -> str | tuple[int, int, int, int]:
    """auto, full, or four whole numbers with commas; anything else is left to the calibration to refuse."""
    fields = text.split(",")
    if len(fields) == 4 and all(field.strip().isdecimal() for field in fields):
        x, y, width, height = (int(field) for field in fields)
        return x, y, width, height
    return text


def channels_of(text: str) -> tuple[Channel, ...]:
    """The channels of the local score by their names, in their own order; none for all that fit."""
    from edge_agent.errors import UsageError

    if text == "all":
        return ()
    names = [name.strip() for name in text.split(",")]
    unknown = sorted({name for name in names if name not in list(Channel)})
    if unknown:
        raise UsageError(f"no channel {', '.join(map(repr, unknown))}", hint=f"channels: all, or {', '.join(Channel)}")
    return tuple(channel for channel in Channel if channel in names)


def voices_of(text: str) -> tuple[Voice, ...]:
    """Whose views count, in their own order; none for the default."""
    from edge_agent.errors import UsageError

    names = {name.strip() for name in text.split(",")}
    unknown = sorted(names - set(Voice))
    if unknown:
        raise UsageError(f"no voice {', '.join(map(repr, unknown))}", hint=f"voices: of {', '.join(Voice)}")
    return () if names == {Voice.IMAGE, Voice.TONE} else tuple(voice for voice in Voice if voice in names)

"""What is measured of an image's light and focus, and what to call it. The page says it too: no arrays here."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["Quantity", "is_focus", "look_at", "moved_words"]


class Quantity(StrEnum):
    """What is measured: grey values of 0 to 255, and ratios."""

    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    SHARPNESS = "sharpness"
    RED = "red"
    BLUE = "blue"


_MOVED: Final = {
    Quantity.BRIGHTNESS: ("darker", "brighter"),
    Quantity.CONTRAST: ("lower in contrast", "higher in contrast"),
    Quantity.SHARPNESS: ("less sharp", "sharper"),
    Quantity.RED: ("less red", "redder"),
    Quantity.BLUE: ("less blue", "bluer"),
}
_COLOUR: Final = "look at the colour of the lamp and the camera's white balance"
_LOOK_AT: Final = {
    Quantity.BRIGHTNESS: "look at the lamp, the exposure and the lens",
    Quantity.CONTRAST: "look at the lamp, at light from outside, and for dirt on the lens",
    Quantity.SHARPNESS: "look at the focus, the distance, and for dirt on the lens",
    Quantity.RED: _COLOUR,
    Quantity.BLUE: _COLOUR,
}


def is_focus(quantity: Quantity) -> bool:
    """Whether it tells of the focus; the others tell of the light."""
    return quantity is Quantity.SHARPNESS


def moved_words(quantity: Quantity, *, is_less: bool) -> str:
    """What an image is that has less of it, or more, than the good parts' images."""
    return _MOVED[quantity][0 if is_less else 1]


def look_at(quantity: Quantity) -> str:
    """What a person looks at."""
    return _LOOK_AT[quantity]

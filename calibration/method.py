"""The score definitions: how each trains its autoencoder, how it scores a part, and how its limit is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.scoring.places import score_locally, score_pooled
from calibration.scoring.view_scoring import score_by_views
from calibration.training.corruption import Corruption
from calibration.training.crossfit import FOLDS
from calibration.training.train import Recipe
from edge_agent.inspection.networks.channels import Voice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration.scoring.scored import Scored

__all__ = ["DEFAULT_METHOD", "METHODS", "Method"]


@dataclass(frozen=True, slots=True)
class Method:
    """A score definition: how its autoencoder is trained, how what that makes of a part becomes a score, and a limit.

    ``limit_by_tail``: where a person asks for no rate, a model of the largest scores sets the limit, not one of them.
    ``hears_autoencoder``: what it repairs is part of the score, also where nobody asks for its voice.
    """

    recipe: Recipe
    score: Callable[..., Scored]
    limit_by_tail: bool = False
    hears_autoencoder: bool = True

    def folds(self, voices: Sequence[Voice]) -> int:
        """How many autoencoders leave images out: every image has to be unseen where the score takes what they say."""
        return FOLDS if self.hears_autoencoder or Voice.AUTOENCODER in voices else 1


DEFAULT_METHOD = "views"
METHODS = {
    "local": Method(Recipe(corruption=Corruption()), score_locally),
    "views": Method(Recipe(corruption=Corruption()), score_by_views, limit_by_tail=True, hears_autoencoder=False),
    "paper": Method(Recipe(), score_pooled),
}
"""The paper trains on patches as they are; 0029 says what it brings to corrupt them."""

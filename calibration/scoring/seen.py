"""What the network saw of good parts: looked at once, and handed from one stage of a calibration to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from calibration.registering.registered import RegisteredSet
    from edge_agent.inspection.networks.channels import View
    from edge_agent.inspection.registration.seen_area import SeenArea

__all__ = ["Seen"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Features (n, K, d) float16 of n good parts by view, at the K places around the ``places`` (h, w) that count.

    ``area`` is what was looked at of each part.
    """

    features: Mapping[View, NDArray[np.float16]]
    places: Mapping[View, NDArray[np.bool_]]
    area: SeenArea

    def fits(self, registered: RegisteredSet) -> bool:
        """Whether a bundle of these parts would look at the same: free of the place it looks at fewer places."""
        # The size may have been settled since the images were looked at: features of another size are of other places.
        return registered.is_tied and registered.seen_area == self.area

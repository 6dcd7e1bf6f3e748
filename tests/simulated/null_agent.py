"""The real agent with an inspector that takes no time: `python -m tests.simulated.null_agent run --config ...`.

The file's last byte is the score: what the agent does around an inspection is what is looked at.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edge_agent.commands.main import main
from edge_agent.domain import Inspection, Outcome, Reason
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMIT = 127.5
_STAGES = ("decode", "register", "reconstruct", "map", "embed", "score")


def judge(self: Inspector, data: bytes, certain: Callable[[], None] | None = None) -> Inspection:
    """Good up to half the scale; with all that a real inspection leaves in the journal."""
    score = float(data[-1])
    is_good = score <= _LIMIT
    return Inspection(
        outcome=Outcome.OK if is_good else Outcome.NG,
        reason=Reason.OK if is_good else Reason.SCORE,
        score=score,
        limit=_LIMIT,
        bundle_id=self.bundle.id,
        image_sha256=hashlib.sha256(data).hexdigest(),
        timings_ms=dict.fromkeys(_STAGES, 0.0),
        shares={"image": score},
    )


if __name__ == "__main__":
    Inspector.prepare = lambda _self, data: data  # type: ignore[method-assign, assignment, return-value]
    Inspector.judge = judge  # type: ignore[method-assign, assignment]
    Inspector.warm_up = lambda _self: 0.0  # type: ignore[method-assign]
    main()

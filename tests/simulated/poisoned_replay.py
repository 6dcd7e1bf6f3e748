"""``edge-agent`` whose inspection ends its process at an image that ends in a certain mark: a bug in native code.

Workers import the module that was started, so that it holds for them as well.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from edge_agent.commands.main import main
from edge_agent.inspection.inspector import Inspector

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.domain import Inspection

POISON = b"poison"


def _deadly(inspect: Callable[..., Inspection]) -> Callable[..., Inspection]:
    def deadly(self: Inspector, data: bytes, *rest: object) -> Inspection:
        if data.endswith(POISON):
            os.kill(os.getpid(), signal.SIGKILL)
        return inspect(self, data, *rest)

    return deadly


Inspector.inspect = _deadly(Inspector.inspect)  # type: ignore[method-assign]

if __name__ == "__main__":
    main()

"""A limit that a person moves on the page: a process of its own makes and proves the bundle, at idle priority.

Proving a bundle runs its networks for seconds: the agent's own threads would share the interpreter with it. The agent
hears what became of it and writes the event; the engine knows nothing of it (docs/decisions/0073).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.errors import EdgeAgentError

if TYPE_CHECKING:
    from edge_agent.settings import Settings
    from edge_agent.web.feed import MovedLimit

__all__ = ["MOVED_WITHIN_S", "Done", "main", "moved_by_process"]

MOVED_WITHIN_S = 300.0
"""At idle priority beside a busy line; a bank of a gigabyte is copied in it as well."""


class Done(BaseModel):
    """What became of it: the bundle and the journal's words, or why nothing was done."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    error: str = ""
    bundle_id: str = ""
    event: str = ""


async def moved_by_process(settings: Settings, limit: MovedLimit) -> Done:
    """Have it done. Raises nothing; cancelled, the process is ended, and the line has the old bundle or the new one."""
    asked = f"{settings.model_dump_json()}\n{limit.model_dump_json()}\n".encode()
    try:
        work = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge_agent.web.moving"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as err:
        return Done(error=f"no process could be started for it: {err}")
    try:
        async with asyncio.timeout(MOVED_WITHIN_S):
            said, _ = await work.communicate(asked)
        return Done.model_validate_json(said)
    except TimeoutError:
        return Done(error=f"it was not done within {MOVED_WITHIN_S:.0f} s: edge-agent bundle list says what is in use")
    except ValidationError:
        return Done(
            error="it ended before it was done: see the agent's log; edge-agent bundle list says what is in use"
        )
    finally:
        with suppress(ProcessLookupError):
            work.kill()
        await work.wait()


def main() -> int:
    """The process: settings and wish from standard input, a Done to standard output."""
    from edge_agent.runtime.process import stand_back  # noqa: PLC0415 - before anything starts threads of its own

    stand_back(os.getppid())
    from edge_agent.bundles.limits import move_limit  # noqa: PLC0415
    from edge_agent.bundles.prospect import LimitWish  # noqa: PLC0415
    from edge_agent.logs import configure_logs  # noqa: PLC0415
    from edge_agent.settings import Settings  # noqa: PLC0415

    settings = Settings.model_validate_json(sys.stdin.readline())
    configure_logs(settings.log.level, settings.log.format)
    try:
        moved = move_limit(settings, LimitWish(**json.loads(sys.stdin.readline())))
        done = Done(bundle_id=moved.bundle_id, event=moved.detail)
    except (EdgeAgentError, OSError) as err:
        hint = getattr(err, "hint", "")
        done = Done(error=f"{err}{f' ({hint})' if hint else ''}")
    sys.stdout.write(done.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

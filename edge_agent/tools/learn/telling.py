"""The journal hears that a learning begins, and how it ended: by way of the running agent, or directly."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from drivers.base import DriverError
from edge_agent.desk.noted import noted
from edge_agent.errors import EdgeAgentError
from edge_agent.inspection.bundle.learned import LEARN_EVENT
from edge_agent.tools.learn.records import learn_begun, learn_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_agent.settings import Settings
    from edge_agent.tools.learn.found import Found
    from edge_agent.tools.learn.proposal import Proposal
    from edge_agent.tools.learn.wish import Wish

__all__ = ["told_of"]

log = structlog.get_logger(__name__)


@contextmanager
def told_of(settings: Settings, proposal: Proposal, wish: Wish) -> Iterator[Callable[[Found], None]]:
    """Tell the journal of what happens in between; hand what was found to what this gives.

    Raises EdgeAgentError, DriverError, OSError where the journal cannot be told.
    """
    found: list[Found] = []
    asyncio.run(noted(settings, LEARN_EVENT, learn_begun(proposal, by=wish.by, why=wish.why)))
    try:
        yield found.append
    except BaseException as err:
        problem = str(err) or type(err).__name__
        detail = learn_ended(proposal, None, by=wish.by, why=wish.why, problem=problem)
        try:
            asyncio.run(noted(settings, LEARN_EVENT, detail))
        except (EdgeAgentError, DriverError, OSError) as why_not:  # what broke it off is the news
            log.warning("learning_not_told", why=str(why_not))
        raise
    asyncio.run(noted(settings, LEARN_EVENT, learn_ended(proposal, found[-1], by=wish.by, why=wish.why)))

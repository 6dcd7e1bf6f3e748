"""The candidate's process from the inside: last in line for the processor, first to go when memory runs out.

Its first line of standard input is the settings; it ends when that input ends. What it says on standard output is what
the agent shall write into the journal: that a shadow ended by itself.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import structlog

from edge_agent.bundles.line_bundles import check_place, entry_of, load_bundle
from edge_agent.errors import BundleRejected, DataError, EdgeAgentError
from edge_agent.inspection.inspector import Inspector
from edge_agent.logs import configure_logs
from edge_agent.runtime.process import stand_back
from edge_agent.settings import Settings
from edge_agent.shadow.following import BecameActive, Follower
from edge_agent.shadow.records import shadow_detail
from edge_agent.store.reader import NoJournalYet
from edge_agent.store.shadow import ShadowFile

if TYPE_CHECKING:
    from edge_agent.store.shadow import Shadow

__all__ = ["run_shadow"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.5
_NOT_USABLE = 65


def run_shadow() -> int:
    """Judge until standard input ends, or no candidate is to be watched; the exit code."""
    stand_back(os.getppid())
    cv2.setNumThreads(1)
    settings = Settings.model_validate_json(sys.stdin.readline())
    configure_logs(settings.log.level, settings.log.format)
    file = ShadowFile.open(settings.store.journal, to_write=True)
    assert file is not None  # noqa: S101 - it is made where there is none
    with file:
        shadow = file.active()
        if shadow is None:
            return 0
        try:
            inspector = _inspector(settings, shadow)
        except EdgeAgentError as err:
            log.error("shadow_not_begun", why=str(err), hint=err.hint)  # noqa: TRY400 - no bug
            file.say_problem(shadow, str(err))
            return _NOT_USABLE
        log.info("shadow_judges", bundle_id=shadow.candidate.bundle_id)
        follower = Follower(file, settings.store.journal, settings.store.archive, inspector.inspect)
        return _follow(file, follower, shadow.shadow_id)


def _follow(file: ShadowFile, follower: Follower, shadow_id: int) -> int:
    wait_s = 0.0
    while not select.select([sys.stdin], [], [], wait_s)[0]:
        shadow = file.active()
        if shadow is None or shadow.shadow_id != shadow_id:
            return 0
        try:
            wait_s = 0.0 if follower.step(shadow) else _LOOK_EVERY_S
        except BecameActive:
            why = "the line judges by it now"
            # Said first: an event that stands twice is better than one that is missing.
            sys.stdout.write(shadow_detail("ended", shadow, by="", why=why) + "\n")
            sys.stdout.flush()
            file.end(shadow, "", why)
            return 0
        except NoJournalYet:  # being begun anew
            wait_s = _LOOK_EVERY_S
        except DataError as err:
            log.error("shadow_stopped", why=str(err), hint=err.hint)  # noqa: TRY400 - no bug
            file.say_problem(shadow, str(err))
            return _NOT_USABLE
    return 0


def _inspector(settings: Settings, shadow: Shadow) -> Inspector:
    """The candidate's, on one thread. Raises BundleRejected, UsageError."""
    candidate = shadow.candidate
    bundle = load_bundle(settings, Path(candidate.folder))
    if bundle.id != candidate.bundle_id:
        raise BundleRejected(
            f"{candidate.folder} holds another bundle than the one that was begun",
            hint="edge-agent shadow end, then begin with the bundle that is meant",
        )
    check_place(entry_of(settings, candidate.program, candidate.camera), bundle)
    inspector = Inspector(bundle, threads=1)
    inspector.warm_up()
    return inspector

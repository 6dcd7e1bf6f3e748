"""What a person orders: a replay by several processes, here or at a scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_agent.tools.collecting import stand_back_beside_agent
from edge_agent.tools.plant.cluster import at_scheduler, check_one_place, local_cluster
from edge_agent.tools.plant.judging import BundleAt
from edge_agent.tools.plant.library import need_libraries
from edge_agent.tools.plant.replaying import Replay
from edge_agent.tools.plant.sources import open_source
from edge_agent.tools.plant.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge_agent.inspection.bundle.reference_bundle import Bundle
    from edge_agent.settings import Settings
    from edge_agent.tools.plant.sources import Source
    from edge_agent.tools.replay.result import ReplayResult

__all__ = ["Order"]


@dataclass(frozen=True, slots=True)
class Order:
    """Images of ``place`` into the folder ``out``: by ``workers`` of this machine, or those of ``scheduler``."""

    place: str
    out: Path
    workers: int | None = None
    scheduler: str | None = None
    without_tls: bool = False
    per_chunk: int | None = None

    def run(
        self,
        bundles: Mapping[tuple[int, int], Bundle],
        journal: Path | None,
        settings: Settings | None,
        say: Callable[[str], None],
    ) -> tuple[ReplayResult, Source]:
        """What came of it, and where its images are. Raises as ``Replay.run`` does, and UsageError."""
        check_one_place(self.workers, self.scheduler, without_tls=self.without_tls)
        need_libraries()
        source = open_source(self.place)
        if self.scheduler is None and settings is not None and stand_back_beside_agent(settings):
            say("an agent runs on this line: the workers take what it leaves over")
        cluster = (
            partial(local_cluster, self.workers or 1)
            if self.scheduler is None
            else partial(at_scheduler, self.scheduler, bundles.values(), without_tls=self.without_tls)
        )
        found = {place: BundleAt(bundle.id, (str(bundle.folder.absolute()),)) for place, bundle in bundles.items()}
        replay = Replay(source, self.out, found, journal, versions(), cluster, self.per_chunk)
        return replay.run(say), source

"""Whom a person hires for a calibration: processes of this PC, the workers of a scheduler, or nobody."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_agent.errors import DataError, Unavailable
from edge_agent.tools.plant.cluster import at_scheduler, check_one_place, local_cluster
from edge_agent.tools.plant.library import need_libraries
from edge_agent.tools.plant.versions import CALIBRATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from calibration.workers import Workers

__all__ = ["Hire", "unfinished"]


@dataclass(frozen=True, slots=True)
class Hire:
    """``workers`` processes of this PC, or those of ``scheduler``; with neither the calibration stays one process."""

    workers: int | None = None
    scheduler: str | None = None
    without_tls: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody is hired."""
        return self.workers is not None or self.scheduler is not None

    def check(self) -> None:
        """Raise UsageError, or Unavailable where a library is missing: before anything is begun."""
        check_one_place(self.workers, self.scheduler, without_tls=self.without_tls)
        if self.is_wanted:
            need_libraries("calibration")

    @contextmanager
    def hired(self, folders: Sequence[Path], out: Path) -> Iterator[Workers | None]:
        """The workers, who all see the images in these ``folders``; None where nobody is hired.

        What they find is kept beside the bundle folder ``out``, until no error leaves the context. Raises UsageError,
        Unavailable, DataError where a worker sees other images, or computes other bits.
        """
        self.check()
        if not self.is_wanted:
            yield None
            return
        from edge_agent.tools.plant.crew import Crew  # noqa: PLC0415 - needs an extra
        from edge_agent.tools.plant.kept import Kept  # noqa: PLC0415 - needs an extra

        kept = Kept(unfinished(out))
        if self.scheduler is None:
            with local_cluster(self.workers or 1) as client:
                yield Crew(client, kept)
        else:
            with at_scheduler(self.scheduler, packages=CALIBRATION, without_tls=self.without_tls) as client:
                _check_workers(client, tuple(str(folder.absolute()) for folder in folders))
                yield Crew(client, kept)
        kept.remove()


def unfinished(out: Path) -> Path:
    """Where what was worked out for the bundle folder ``out`` is kept until it is written."""
    return out.with_name(f"{out.name}.unfinished")


def _check_workers(client: Any, folders: tuple[str, ...]) -> None:
    from edge_agent.tools.plant.parcels import listed  # noqa: PLC0415 - needs an extra
    from edge_agent.tools.plant.proof import arithmetic  # noqa: PLC0415 - needs an extra

    here, ours = listed(folders), arithmetic()
    for worker, found in client.run(listed, folders).items():
        if found != here:
            raise Unavailable(
                f"the worker {worker} does not see the images in {' and '.join(folders)} as this machine does",
                hint="the images have to be at the same place for all machines, on a share for instance",
            )
    for worker, proof in client.run(arithmetic).items():
        if proof != ours:
            raise DataError(
                f"the worker {worker} computes other bits than this machine: the bundle would be another one",
                hint="take workers with processors of this machine's kind",
            )

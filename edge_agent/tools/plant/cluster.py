"""Dask: a cluster in this machine's processes, or a scheduler of somebody's.

Whoever can speak to a scheduler or a worker of Dask can have it execute anything. A local cluster therefore listens at
127.0.0.1 alone, and only to who has its keys (TLS, made for this run, in memory); there is no dashboard.
"""

from __future__ import annotations

import logging
import signal
import tempfile
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from edge_agent.errors import Unavailable, UsageError
from edge_agent.tools.plant.versions import VERDICT, check_versions, versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge_agent.inspection.bundle.reference_bundle import Bundle

__all__ = ["at_scheduler", "check_one_place", "local_cluster"]

_WAIT_S = 30
_FOR_GOOD = {"distributed.deploy.lost-worker-timeout": "3650 days"}
"""A worker that ended is begun anew by its nanny; Dask would give up one that takes 15 s for it, and begin no other."""


def check_one_place(workers: int | None, scheduler: str | None, *, without_tls: bool) -> None:
    """Raise UsageError for workers of this PC and of a scheduler at once, and as ``at_scheduler`` for an address."""
    if scheduler is not None and workers is not None:
        raise UsageError("--workers is for this PC, --scheduler for others", hint="leave one of them out")
    if scheduler is not None:
        _check_address(scheduler, without_tls=without_tls)


def _check_address(address: str, *, without_tls: bool) -> None:
    if not address.startswith("tls://") and not without_tls and not _is_here(address):
        raise UsageError(
            f"{address} is not encrypted: whoever reaches such a scheduler can have it execute anything",
            hint="give it TLS and name it tls://..., or say --without-tls for a network that you trust as this PC",
        )


@contextmanager
def local_cluster(workers: int) -> Iterator[Any]:
    """A client of a cluster of so many processes of this machine, gone with the context."""
    import dask  # noqa: PLC0415 - an extra

    _quiet()
    # How many workers a chunk may end is counted in ``chunks``.
    dask.config.set({"distributed.scheduler.allowed-failures": 0, **_FOR_GOOD})
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="edge-agent-workers-") as folder:
        with _deaf_to_ctrl_c():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=True,
                dashboard_address=None,
                worker_dashboard_address=None,
                memory_limit=0,
                local_directory=folder,
                silence_logs=logging.CRITICAL,
            )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


def _quiet() -> None:
    """Let Dask log nothing here: what a person has to know we say. To be called before distributed is imported."""
    import dask  # noqa: PLC0415 - an extra

    loggers = ("distributed", "distributed.client", "tornado.application")
    dask.config.set({"logging": dict.fromkeys(loggers, "critical")})
    # A calibration's good parts are tens of MB, and Dask would call that a mistake.
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"})


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is begun here, and all that it begins, never gets the Ctrl-C of a terminal: the client alone ends it.

    A thread's mask goes to its threads and to their processes.
    """
    # Its first start would take the mask away again, between us and the first worker.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def at_scheduler(
    address: str, bundles: Iterable[Bundle] = (), *, packages: Iterable[str] = VERDICT, without_tls: bool = False
) -> Iterator[Any]:
    """A client of the scheduler at that address, such as ``tls://10.0.0.5:8786``; its workers get the bundles' content.

    Keys and certificates come from Dask's own settings. Raises UsageError for an address that is not encrypted and not
    of this machine, unless ``without_tls``; Unavailable where nobody answers, no worker is there, or one of them has
    other versions of these ``packages``.
    """
    _quiet()
    from distributed import Client  # noqa: PLC0415 - an extra

    _check_address(address, without_tls=without_tls)
    try:
        client = Client(address, set_as_default=False, timeout=_WAIT_S)
    except (OSError, TimeoutError, ValueError, TypeError) as err:
        raise Unavailable(f"no scheduler answers at {address}: {err}", hint="is it running? dask scheduler") from err
    with client:
        try:
            client.wait_for_workers(1, timeout=_WAIT_S)
        except TimeoutError as err:
            raise Unavailable(f"the scheduler at {address} has no worker", hint="start one: dask worker") from err
        wanted = tuple(packages)
        for worker, theirs in client.run(versions, wanted, on_error="return").items():
            check_versions(f"the worker {worker}", theirs, versions(wanted))
        with _carried(client, bundles):
            yield client


@contextmanager
def _carried(client: Any, bundles: Iterable[Bundle]) -> Iterator[None]:
    from edge_agent.tools.plant.carried import CarriedBundle  # noqa: PLC0415 - needs an extra

    plugins = [CarriedBundle(bundle) for bundle in bundles]
    try:
        for plugin in plugins:
            client.register_plugin(plugin)
        yield
    finally:
        with suppress(OSError, TimeoutError):  # the scheduler has gone: so has what it knew
            for plugin in plugins:
                client.unregister_worker_plugin(plugin.name)


def _is_here(address: str) -> bool:
    host = address.rpartition("//")[2].rpartition(":")[0]
    return host in ("127.0.0.1", "localhost", "[::1]")

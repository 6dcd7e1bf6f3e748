"""Where the images of line.toml come from: a reception over FTP, or a watched folder."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from drivers.keyence.folder import WatchedFolder
from drivers.keyence.ftp_inbox import FtpInbox
from drivers.keyence.names import NameRule
from edge_agent.inspection.containers.decode import prove_complete
from edge_agent.settings import read_password
from edge_agent.store.room import inbox_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from drivers.base import CaptureSource
    from edge_agent.settings import Settings

__all__ = ["images_of", "open_images"]

_LOOK_EVERY_S = 0.02


@asynccontextmanager
async def open_images(settings: Settings, *, within_s: float) -> AsyncIterator[CaptureSource]:
    """The source of images alone, without an agent. Raises TimeoutError if it is not open in time, ConfigError."""
    source = images_of(settings)
    run = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(within_s):
            while not source.is_bound:  # noqa: ASYNC110 - a driver says how it stands, not when it changes
                await asyncio.sleep(_LOOK_EVERY_S)
        yield source
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


def images_of(settings: Settings, *, tells_while_storing: bool = False) -> CaptureSource:
    """The source of images, not yet open. ``tells_while_storing``: it tells of one while its bytes go to the disk."""
    images = settings.images
    max_bytes = images.max_mib * 2**20
    names = NameRule.of(images.names, images.image_type)
    if images.ftp is not None:
        return FtpInbox(
            host=images.ftp.host,
            port=images.ftp.port,
            user=images.ftp.user,
            password=read_password(images.ftp.password_file),
            allowed_peers=settings.image_senders,
            passive_ports=images.ftp.passive_ports,
            names=names,
            replies_when_proven=images.ftp.reply_when == "proven",
            tells_while_storing=tells_while_storing,
            spool=images.spool,
            max_bytes=max_bytes,
            min_free_bytes=inbox_bytes(settings),
            prove=prove_complete,
        )
    if images.folder is None:
        raise AssertionError("settings name exactly one source of images")
    return WatchedFolder(
        path=images.folder.path,
        spool=images.spool,
        rescan_s=images.folder.rescan_ms / 1000,
        settle_s=images.folder.settle_ms / 1000,
        names=names,
        max_bytes=max_bytes,
        prove=prove_complete,
    )

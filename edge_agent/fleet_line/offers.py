"""What this line does with a bundle that its fleet offers: what line.toml says, by the functions of the commands.

Whoever offers it proves nothing: the bundle's id, its signature, its place and its golden values are proven here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from drivers.base import DriverError
from drivers.timing import monotonic_s
from edge_agent.bundles.line_bundles import chosen, entry_of, load_bundle, proven
from edge_agent.errors import BundleRejected, EdgeAgentError, UsageError
from edge_agent.fleet_line.fetching import Fetcher
from edge_agent.fleet_line.messages import OfferTaken, words
from edge_agent.fleet_line.server import NotAnswered
from edge_agent.inspection.bundle.registry import activate, brought, bundle_in_use, rollback, switches
from edge_agent.shadow.orders import begin_shadow, end_shadow, told_journal
from edge_agent.store.shadow import ShadowFile

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from edge_agent.fleet_line.messages import Offer
    from edge_agent.fleet_line.server import FleetServer
    from edge_agent.settings import BundleSettings, Settings

__all__ = ["Following", "signer_words"]

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 0.5
_FLEET = "fleet: "
_AGAIN_AFTER_S = 30.0
_REFUSED_AGAIN_AFTER_S = 3600.0
"""What a bundle is does not change: it is looked at again only because line.toml's keys or this PC may have."""


def signer_words(offer: Offer) -> str:
    """Who stands in this line's records for what was offered. No role: nobody proved the name on this line."""
    name = "".join(letter if letter.isprintable() else " " for letter in offer.by).strip() or "nobody"
    return f"{_FLEET}{name}, promotion {offer.promotion_id}"


_Key = tuple[int, str]
"""A promotion and its stage."""


class Following:
    """Takes offers, one after the other. ``run`` works in a thread of its own; the rest is asked in another."""

    def __init__(self, settings: Settings, server: FleetServer) -> None:
        self._settings = settings
        self._fetcher = Fetcher(settings.store.journal, server)
        self._follow = "none" if settings.fleet is None else settings.fleet.follow
        self._taken: dict[_Key, OfferTaken] = {}
        self._again_mono_s: dict[_Key, float] = {}
        self._heard: tuple[tuple[Offer, ...], str] = ((), "")

    def hear(self, offers: tuple[Offer, ...], secret: str) -> None:
        """What is offered now, and the line's secret."""
        self._heard = offers, secret

    def run(self, stop: threading.Event) -> None:
        """Take what is offered until told to stop. Blocks; raises nothing."""
        while not stop.wait(_LOOK_EVERY_S):
            self.step(*self._heard)

    @property
    def taken(self) -> tuple[OfferTaken, ...]:
        """What became of the offers that stand."""
        return tuple(self._taken.values())

    def step(self, offers: Iterable[Offer], secret: str) -> None:
        """Do what is to be done about them. Takes as long as a bundle's proof takes: seconds."""
        # What is to be left comes first, the newest first, whatever the server's order: a new bundle on top of a
        # withdrawn one would lead back to it.
        ordered = sorted(offers, key=lambda one: (one.stage != "withdrawn", -one.promotion_id))
        standing: dict[_Key, Offer] = {(offer.promotion_id, offer.stage): offer for offer in ordered}
        taken = {key: found for key, found in self._taken.items() if key in standing}
        self._again_mono_s = {key: when for key, when in self._again_mono_s.items() if key in standing}
        has_left = False
        for key, offer in standing.items():
            is_done, is_withdrawn = key in taken and taken[key].how == "done", offer.stage == "withdrawn"
            # Whoever has gone back may stand on a bundle that was withdrawn as well.
            if (has_left and is_withdrawn) or (not is_done and monotonic_s() >= self._again_mono_s.get(key, 0.0)):
                taken[key] = self._tried(offer, secret)
                has_left = has_left or (is_withdrawn and taken[key].how == "done" and bool(taken[key].why))
            # Replaced as a whole: another thread reads it.
            self._taken = dict(taken)
        self._taken = taken

    def _tried(self, offer: Offer, secret: str) -> OfferTaken:
        key, how, why, again_s = (offer.promotion_id, offer.stage), "done", "", _AGAIN_AFTER_S
        try:
            why = self._take(offer, secret)
        except BundleRejected as err:
            how, why, again_s = "refused", str(err), _REFUSED_AGAIN_AFTER_S
        except NotAnswered as err:
            how, why = "waits", str(err)
        except (EdgeAgentError, DriverError, OSError) as err:
            how, why = "refused", str(err)
        self._again_mono_s[key] = monotonic_s() + again_s
        before = self._taken.get(key)
        taken = OfferTaken(promotion_id=offer.promotion_id, stage=offer.stage, how=how, why=words(why))  # type: ignore[arg-type]
        if taken != before:
            log.info("fleet_offer", promotion=offer.promotion_id, stage=offer.stage, how=how, why=why)
        return taken

    def _take(self, offer: Offer, secret: str) -> str:
        """Take it; what a person should know. Raises EdgeAgentError, DriverError, OSError."""
        if offer.stage == "withdrawn":
            return self._go_back(offer)
        wanted = {"shadow": ("shadow", "activate"), "activate": ("activate",)}[offer.stage]
        if self._follow not in wanted:
            raise UsageError(f'this line takes no such offer: fleet.follow is "{self._follow}" in its line.toml')
        entry = entry_of(self._settings, offer.program, offer.camera)
        return self._shadow(offer, secret) if offer.stage == "shadow" else self._activate(offer, entry, secret)

    def _shadow(self, offer: Offer, secret: str) -> str:
        by = signer_words(offer)
        if self._was_begun(offer, by):
            return ""
        begun = begin_shadow(self._settings, self._fetched(offer, secret), by=by, why=offer.why)
        asyncio.run(told_journal(self._settings, "begun", begun.shadow, by=by, why=offer.why))
        return "; ".join(begun.notes)

    def _was_begun(self, offer: Offer, by: str) -> bool:
        file = ShadowFile.open(self._settings.store.journal)
        if file is None:
            return False
        with file:
            return any((one.candidate.bundle_id, one.candidate.by) == (offer.bundle_id, by) for one in file.shadows())

    def _activate(self, offer: Offer, entry: BundleSettings, secret: str) -> str:
        by = signer_words(offer)
        if any((one.bundle_id, one.by) == (offer.bundle_id, by) for one in switches(entry.path)):
            return ""
        folder = self._fetched(offer, secret)
        bundle, in_use = load_bundle(self._settings, folder), load_bundle(self._settings, bundle_in_use(entry.path)[0])
        if bundle.created < in_use.created:
            raise BundleRejected(
                f"the bundle offered is of {bundle.created}, the one in use of {in_use.created}: a fleet brings no "
                "older bundle; bundle activate does, by hand"
            )
        switch = activate(entry.path, folder, by=by, why=offer.why, prove=proven(self._settings, entry))
        self._fetcher.forget(offer.bundle_id)
        return asyncio.run(chosen(self._settings, entry, switch))

    def _go_back(self, offer: Offer) -> str:
        """End the shadow, and leave the bundle, that this very offer brought and that still stand."""
        by, told = signer_words(offer), []
        file = ShadowFile.open(self._settings.store.journal)
        if file is not None:
            with file:
                shadow = file.active()
            if shadow is not None and (shadow.candidate.bundle_id, shadow.candidate.by) == (offer.bundle_id, by):
                ended = end_shadow(self._settings, by=by, why=offer.why)
                asyncio.run(told_journal(self._settings, "ended", ended, by=by, why=offer.why))
                told.append("the shadow has ended")
        entry = entry_of(self._settings, offer.program, offer.camera)
        history = switches(entry.path) if entry.path.is_dir() else []
        in_use = brought(history)
        # A person who went back to this bundle chose it; a fleet that did may not have known of it yet.
        is_fleets = bool(history) and (history[-1] == in_use or history[-1].by.startswith(_FLEET))
        if in_use is not None and is_fleets and (in_use.bundle_id, in_use.by) == (offer.bundle_id, by):
            switch = rollback(entry.path, by=by, why=offer.why, prove=proven(self._settings, entry))
            told.append(asyncio.run(chosen(self._settings, entry, switch)) or "gone back to the bundle before")
        return "; ".join(told)

    def _shadowed(self) -> Path | None:
        """The folder that a candidate judges from now."""
        file = ShadowFile.open(self._settings.store.journal)
        if file is None:
            return None
        with file:
            shadow = file.active()
        return None if shadow is None else Path(shadow.candidate.folder)

    def _fetched(self, offer: Offer, secret: str) -> Path:
        """The bundle in a folder of this PC, signed by whom this line trusts. Raises EdgeAgentError, OSError."""
        if not self._settings.trusted_keys:
            raise UsageError("this line trusts nobody's bundles: [signatures] trusted_keys in its line.toml")
        folder = self._fetcher.fetch(offer.bundle_id, secret, in_use=self._shadowed())
        try:
            bundle = load_bundle(self._settings, folder)
        except BundleRejected:
            self._fetcher.forget(offer.bundle_id)  # the next time it is fetched anew: it may have been mended there
            raise
        if bundle.id != offer.bundle_id:
            self._fetcher.forget(offer.bundle_id)
            raise BundleRejected(f"the server offered {offer.bundle_id[:12]} and sent {bundle.id[:12]}")
        return folder

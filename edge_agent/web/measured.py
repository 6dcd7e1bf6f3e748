"""What Prometheus collects. The names are a promise: docs/metrics.md lists them, alerts and dashboard use them."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from drivers.timing import monotonic_s
from edge_agent.drift.from_journal import DriftWatch
from edge_agent.errors import DataError
from edge_agent.reviews.settling import DISPUTED
from edge_agent.store.held import Held, HeldKind, reach_of
from edge_agent.store.receivers import receiver_statuses
from edge_agent.store.search import JournalSearch
from edge_agent.web.drift import drift_warnings, drifts
from edge_agent.web.reviews import FITTING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from edge_agent.feed.current import Live, SeenPart
    from edge_agent.settings import Settings
    from edge_agent.store.held import Reach
    from edge_agent.store.receivers import ReceiverStatus
    from edge_agent.store.reviewed import ReviewBook
    from edge_agent.web.drift import Drift

__all__ = ["Measured"]

_LOOK_EVERY_S = 2.0
_LATENCY_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0)
_STAGE_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_RATIO = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 5.0)


class Measured:
    """The registry of one page. Histograms hold the parts since the page's start, counters of parts the journal's."""

    def __init__(self, settings: Settings, live: Live, book: ReviewBook, watch: DriftWatch | None = None) -> None:
        self._settings = settings
        self._live = live
        self._book = book
        self._watch = watch or DriftWatch(settings)
        self.viewers = 0
        self._seen_standings: list[ReceiverStatus] = []
        self._looked_mono_s = -_LOOK_EVERY_S
        self._reach: Reach | None = None
        self._reach_mono_s = -_LOOK_EVERY_S
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            "edge_agent_part_latency_seconds",
            "First sign of a part to its verdict on the wire",
            buckets=_LATENCY_S,
            registry=self._registry,
        )
        self._stages = Histogram(
            "edge_agent_stage_seconds",
            "One stage of the inspection of one image",
            ["stage"],
            buckets=_STAGE_S,
            registry=self._registry,
        )
        self._ratio = Histogram(
            "edge_agent_score_ratio",
            "Score of a part over its limit: 1 and above is rejected",
            buckets=_RATIO,
            registry=self._registry,
        )
        self._published = Counter(
            "edge_agent_verdicts_total",
            "Verdicts by what became of them on the wire",
            ["published"],
            registry=self._registry,
        )
        live.published = self.take
        self._registry.register(self)

    def take(self, part: SeenPart) -> None:
        """A part whose verdict went its way."""
        row = part.row
        if part.publication is None:
            return
        self._latency.observe(part.publication.at_mono_s - row.first_sign_mono_s)
        self._published.labels(published=str(part.publication.published)).inc()
        if row.score is not None and row.limit:
            self._ratio.observe(row.score / row.limit)
        for camera in row.cameras:
            for stage, took_ms in camera.timings_ms.items():
                self._stages.labels(stage=stage).observe(took_ms / 1000)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What is looked up when it is asked for."""
        yield self._info()
        live = self._live
        yield GaugeMetricFamily("edge_agent_up", "1 while the agent's own loop is heard", value=live.is_heard)
        yield GaugeMetricFamily("edge_agent_ready", "1 while parts can pass", value=not live.not_ready())
        yield from self._conditions()
        words = "1 for each reason why a person should look"
        degraded = GaugeMetricFamily("edge_agent_degraded", words, labels=["reason"])
        for reason in sorted(self.degraded()):
            degraded.add_metric([reason], 1)
        yield degraded
        yield from self._samples()
        yield from self._results()
        words = "How far light and focus of the newest images are from usual: at -1 and 1 parts are rejected"
        drift = GaugeMetricFamily("edge_agent_image_drift_ratio", words, labels=["camera", "quantity"])
        for one in self._drifts():
            drift.add_metric([str(one.camera), one.quantity], one.share)
        yield drift
        yield from self._control_charts()
        parts = CounterMetricFamily("edge_agent_parts", "Parts in the journal", labels=["verdict", "reason"])
        for (verdict, reason), number in sorted(live.total.items()):
            parts.add_metric([str(verdict), str(reason)], number)
        yield parts
        yield self._reviewed()
        deadline_s = self._settings.line.deadline_ms / 1000
        yield GaugeMetricFamily("edge_agent_deadline_seconds", "line.deadline_ms", value=deadline_s)
        yield from self._disk()
        yield from self._archive()
        yield GaugeMetricFamily("edge_agent_page_viewers", "Browsers that follow the page now", value=self.viewers)

    def _samples(self) -> Iterator[Metric]:
        agent = self._live.agent
        yield GaugeMetricFamily(
            "edge_agent_locked", "1 while nothing passes until samples were shown", value=bool(agent and agent.locked)
        )
        due_s = GaugeMetricFamily(
            "edge_agent_challenge_due_seconds", "Until known samples are due; below 0 since they are", unit="seconds"
        )
        due_parts = GaugeMetricFamily("edge_agent_challenge_due_parts", "Parts until known samples are due")
        if agent is not None and agent.samples is not None:  # what is not asked for has no value
            if agent.samples.due_s is not None:
                due_s.add_metric([], agent.samples.due_s)
            if agent.samples.due_parts is not None:
                due_parts.add_metric([], agent.samples.due_parts)
        yield from (due_s, due_parts)

    def _results(self) -> Iterator[Metric]:
        words = "Rows of the journal that a receiver of results has not got yet"
        waiting = GaugeMetricFamily("edge_agent_results_waiting", words, labels=["receiver"])
        words = "Results that a receiver did not get and that are set aside for a person"
        aside = GaugeMetricFamily("edge_agent_results_set_aside", words, labels=["receiver"])
        for stands in self._standings():
            if stands.waiting is not None:  # what is not known has no value
                waiting.add_metric([stands.receiver], stands.waiting)
            if stands.aside is not None:
                aside.add_metric([stands.receiver], stands.aside)
        yield from (waiting, aside)

    def degraded(self) -> dict[str, str]:
        """Why a person should look while parts are judged: the agent's reasons, light, focus, changes, receivers."""
        agent = self._live.agent
        why = "; ".join(filter(None, (stands.degraded for stands in self._standings())))
        found = {"image": drift_warnings(self._drifts()), "drift": self._watch.words, "results": why}
        return {**(agent.degraded if agent else {}), **{name: words for name, words in found.items() if words}}

    def reach(self) -> Reach | None:
        """How far back the archive reaches; None before the agent told. Looked up at most every few seconds."""
        agent = self._live.agent
        if agent is not None and monotonic_s() - self._reach_mono_s >= _LOOK_EVERY_S:
            kinds = (agent.archive_passes, agent.archive_others)
            held = Held(*(HeldKind(kind.size_bytes, kind.oldest_seq) for kind in kinds))
            self._reach, self._reach_mono_s = reach_of(held, self._settings.store.journal), monotonic_s()
        return self._reach

    def _archive(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("edge_agent_archive_bytes", "Images in the archive", labels=["kind"], unit="bytes")
        words = "How long ago the part of the oldest image was"
        age = GaugeMetricFamily("edge_agent_archive_reach_seconds", words, labels=["kind"], unit="seconds")
        if (reach := self.reach()) is not None:
            for kind, held, span_s in (
                ("pass", reach.held.passes, reach.passes_s),
                ("reject", reach.held.others, reach.others_s),
            ):
                size.add_metric([kind], held.size_bytes)
                if span_s is not None:
                    age.add_metric([kind], span_s)
        yield from (size, age)

    def _reviewed(self) -> Metric:
        words = "Parts of the journal by the word of people on them; DISPUTED where they differ"
        reviewed = GaugeMetricFamily("edge_agent_parts_reviewed", words, labels=["says"])
        try:
            with JournalSearch.open(self._settings.store.journal) as journal:
                said = list(self._book.standing(journal).values())
        except DataError:  # what is not known has no value
            return reviewed
        for says in (*(word for words_of in FITTING.values() for word in words_of), DISPUTED):
            reviewed.add_metric([says], said.count(says))
        return reviewed

    def _drifts(self) -> list[Drift]:
        return drifts(part.row for _, part in sorted(self._live.parts.items()))

    def _control_charts(self) -> Iterator[Metric]:
        words = "The moving mean of a watched quantity, in standard deviations from what is usual of good parts"
        sigma = GaugeMetricFamily("edge_agent_drift_sigma", words, labels=["camera", "quantity"])
        words = "How far that mean may be from usual before a person is told, in the same unit"
        limit = GaugeMetricFamily("edge_agent_drift_limit_sigma", words, labels=["camera", "quantity"])
        alarm = GaugeMetricFamily("edge_agent_drift_alarm", "1 while a change stands", labels=["camera", "quantity"])
        for one in self._watch.standing:
            if one.usual is not None:  # what is usual is learned yet: nothing to say
                labels = [str(one.camera), one.quantity]
                sigma.add_metric(labels, one.sigma)
                limit.add_metric(labels, one.limit)
                alarm.add_metric(labels, one.change is not None)
        yield from (sigma, limit, alarm)

    def _standings(self) -> list[ReceiverStatus]:
        """Looked up at most every few seconds: browsers ask each second."""
        if monotonic_s() - self._looked_mono_s >= _LOOK_EVERY_S:
            self._seen_standings, self._looked_mono_s = receiver_statuses(self._settings), monotonic_s()
        return self._seen_standings

    def _info(self) -> Metric:
        info = GaugeMetricFamily("edge_agent_info", "What runs here", labels=["version", "line", "simulated"])
        simulated = str(bool(self._live.agent and self._live.agent.is_simulated)).lower()
        info.add_metric([version("edge-agent"), self._settings.line.name, simulated], 1)
        return info

    def _conditions(self) -> Iterator[Metric]:
        holds = GaugeMetricFamily("edge_agent_condition_ok", "1 while the condition holds", labels=["condition"])
        age = GaugeMetricFamily(
            "edge_agent_condition_age_seconds", "How long it has been so", labels=["condition"], unit="seconds"
        )
        lost = CounterMetricFamily("edge_agent_archive_lost", "Images that were to be kept and could not be")
        pruned = CounterMetricFamily("edge_agent_archive_pruned", "Images that made room for newer ones")
        agent = self._live.agent
        if agent is not None:
            for name, condition in sorted(agent.conditions.items()):
                holds.add_metric([name], not condition.why_not)
                age.add_metric([name], monotonic_s() - condition.since_mono_s)
            lost.add_metric([], agent.archive_lost)
            pruned.add_metric([], agent.archive_pruned)
        yield from (holds, age, lost, pruned)

    def _disk(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("edge_agent_disk_free_bytes", "Room on the disk", labels=["place"], unit="bytes")
        store = self._settings.store
        places = {"journal": store.journal.parent, "archive": store.archive, "spool": self._settings.images.spool}
        for place, folder in places.items():
            try:
                free.add_metric([place], shutil.disk_usage(folder).free)
            except OSError:  # a disk that is gone has no value: the alert on absence says it
                continue
        yield free

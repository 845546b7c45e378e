"""A snapshot as Prometheus metrics. Labels are kinds, states and causes: never a run or a user."""

import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ntlbg_model import __version__
from ntlbg_service.ledger.schema import HEAD
from ntlbg_service.ledger.stats import LedgerStats
from ntlbg_service.monitoring.loop_metrics import LoopMetrics
from ntlbg_service.monitoring.snapshot import Snapshot


class SnapshotCollector(Collector):
    """Collector that renders the newest snapshot at every scrape; missing values are left out."""

    def __init__(self, newest: Callable[[], Snapshot | None], loop_metrics: LoopMetrics) -> None:
        self._newest = newest
        self._vitals = loop_metrics

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family with a known value."""
        yield _build()
        yield from _lead(self._vitals)
        seen = self._newest()
        if seen is None:
            return
        age = self._vitals.clock() - seen.taken_at
        yield _gauge("ntlbg_snapshot_age_seconds", "Since what is shown here was read.", age)
        answers = GaugeMetricFamily("ntlbg_answers", "Whether it answers.", labels=["what"])
        for what, trouble in seen.troubles.items():
            answers.add_metric([what], float(not trouble))
        yield answers
        if seen.figures is not None:
            yield from _ledger(seen.figures)
        if self._vitals.leads and seen.gpus:
            yield _gpus(seen)
        yield from _ratios(seen)


def _build() -> Metric:
    info = InfoMetricFamily("ntlbg_build", "What runs here.")
    info.add_metric(
        [], {"version": __version__, "schema": HEAD, "python": platform.python_version()}
    )
    return info


def _lead(loop_metrics: LoopMetrics) -> Iterator[Metric]:
    yield _gauge("ntlbg_leads", "Whether this controller leads.", float(loop_metrics.leads))
    age = loop_metrics.clock() - loop_metrics.beat_at
    yield _gauge("ntlbg_loop_age_seconds", "Since the controller's loop last did anything.", age)
    if loop_metrics.leads and loop_metrics.renewed_at is not None:
        age = loop_metrics.clock() - loop_metrics.renewed_at
        yield _gauge("ntlbg_lease_age_seconds", "Since this leader's lease was renewed.", age)


def _ledger(figures: LedgerStats) -> Iterator[Metric]:
    runs = GaugeMetricFamily("ntlbg_runs", "Runs by state.", labels=["state"])
    for state, number in figures.runs.items():
        runs.add_metric([state], number)
    yield runs
    queue = GaugeMetricFamily("ntlbg_queue_runs", "Queued runs by what for.", labels=["waits_for"])
    for what, number in figures.waiting.items():
        queue.add_metric([what], number)
    yield queue
    yield _gauge(
        "ntlbg_queue_oldest_seconds",
        "Since the submission of the run that waits longest, paused ones left out.",
        figures.oldest_wait,
    )
    yield CounterMetricFamily("ntlbg_launches", "Attempts started.", value=figures.launches)
    ended = CounterMetricFamily(
        "ntlbg_attempts_ended", "Attempts by what ended them.", labels=["outcome"]
    )
    for outcome, number in figures.attempts.items():
        ended.add_metric([outcome], number)
    yield ended
    yield _gauge("ntlbg_outbox_entries", "What MLflow was not told yet.", figures.unsent)
    yield _gauge("ntlbg_outbox_lag_seconds", "Age of the oldest of it.", figures.oldest_unsent)
    yield _gauge(
        "ntlbg_outbox_refused_entries",
        "What MLflow refused, set aside until it is sent again.",
        figures.refused,
    )
    yield _gauge("ntlbg_leader_present", "Whether any controller leads.", bool(figures.leader))
    yield _gauge("ntlbg_lease_left_seconds", "Until the leader's lease ends.", figures.lease_left)
    yield _gauge("ntlbg_leader_epoch", "Terms of leaders so far.", figures.epoch)


def _gpus(seen: Snapshot) -> Metric:
    gpus = GaugeMetricFamily(
        "ntlbg_gpus",
        "Devices by kind (of a CPU: places for runs); the sum of one kind is all there are.",
        labels=["profile", "state"],
    )
    for profile, counts in seen.gpus.items():
        for state, number in asdict(counts).items():
            gpus.add_metric([profile, state], number)
    return gpus


def _ratios(seen: Snapshot) -> Iterator[Metric]:
    ratio = GaugeMetricFamily(
        "ntlbg_memory_predicted_over_measured",
        "Of ended trainings; below 1 a run took more than was predicted.",
        labels=["profile", "of"],
    )
    count = GaugeMetricFamily(
        "ntlbg_memory_measured_runs", "Trainings with a measured peak.", labels=["profile"]
    )
    for profile, found in seen.ratios.items():
        ratio.add_metric([profile, "median"], found.median)
        ratio.add_metric([profile, "least"], found.least)
        count.add_metric([profile], found.count)
    yield ratio
    yield count


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)

"""What Prometheus is told: gauges read from the rows at each scrape, counters and a histogram of what happens between.

Nothing here carries a secret, a name of a person or a job, and every label has few values: a state, a team, a
provider and what it answered, a method of Slack's. Dollars are dollars, times are seconds.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlmodel import Session, col, func, select

from bot import health, outbox
from jobs import db
from jobs.clock import Clock
from jobs.db import Database
from jobs.endings import OVERDUE_AFTER
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Job, Team
from jobs.values import DOLLAR

TYPE = CONTENT_TYPE_LATEST
# A command has to be acknowledged within three seconds, and our own budget for it is half of that.
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Metrics:
    """The registry of one bot. Its methods are plain to call from any thread."""

    def __init__(self, db: Database, clock: Clock) -> None:
        registry = CollectorRegistry()
        registry.register(Rows(db, clock))
        self._registry = registry
        self._provider = Counter(
            "hourglass_provider_calls", "Calls of a provider", ["provider", "verb", "outcome"], registry=registry
        )
        self._slack = Counter(
            "hourglass_slack_calls", "Calls of Slack's Web API", ["method", "outcome"], registry=registry
        )
        self._acknowledged = Histogram(
            "hourglass_acknowledgement_seconds",
            "From a delivery of Slack's to its acknowledgement",
            ["kind"],
            buckets=BUCKETS,
            registry=registry,
        )
        built = Gauge("hourglass_build_info", "What runs", ["version", "python"], registry=registry)
        built.labels(_version(), platform.python_version()).set(1)

    def provider(self, provider: str, verb: str, outcome: str) -> None:
        """Count a call of a provider: `ok`, the scope of its error, or `broke` for a mistake of the provider's code."""
        self._provider.labels(provider, verb, outcome).inc()

    def slack(self, method: str, outcome: str) -> None:
        """Count a call of Slack's Web API: ok, limited (429), refused or failed."""
        self._slack.labels(method, outcome).inc()

    def acknowledged(self, kind: str, seconds: float) -> None:
        """Note how long a delivery waited for its acknowledgement; `kind` is command, action, view, event or other."""
        self._acknowledged.labels(kind).observe(seconds)

    def page(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)


class Rows(Collector):
    """Gauges out of the rows, read in one look at each scrape: no process has to remember them."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return nothing: registering must not read the database."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read the rows."""
        with self._db.read() as tx:
            found = [*self._states(tx), *self._money(tx), *self._ages(tx)]
        yield from found

    def _states(self, tx: Session) -> Iterator[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("hourglass_jobs", "Jobs by state", labels=["state"])
        counted = dict(tx.exec(select(Job.state, func.count()).group_by(Job.state)).all())
        for job_state in JobState:
            jobs.add_metric([job_state.value], counted.get(job_state, 0))
        attempts = GaugeMetricFamily("hourglass_attempts", "Attempts by state", labels=["state"])
        stood = dict(tx.exec(select(Attempt.state, func.count()).group_by(Attempt.state)).all())
        for state in AttemptState:
            attempts.add_metric([state.value], stood.get(state, 0))
        yield jobs
        yield attempts

    def _money(self, tx: Session) -> Iterator[GaugeMetricFamily]:
        names = {"held": "held for rentals", "spent": "spent", "free": "neither held nor spent; negative by overruns"}
        families = {
            name: GaugeMetricFamily(f"hourglass_{name}_dollars", f"Dollars of this month {words}", labels=["team"])
            for name, words in names.items()
        }
        for team in tx.exec(select(Team)).all():
            period = db.find_period(tx, team, self._clock.now())
            held, spent = (period.held, period.spent) if period else (0, 0)
            free = period.cap + period.granted - held - spent if period else team.cap or 0
            for name, micros in {"held": held, "spent": spent, "free": free}.items():
                families[name].add_metric([team.id], micros / DOLLAR)
        yield from families.values()

    def _ages(self, tx: Session) -> Iterator[GaugeMetricFamily]:
        now, seen = self._clock.now(), health.pulse(tx)
        ages = {
            "hourglass_enforced_age_seconds": (
                "Since the last enforcing pass; absent before the first",
                seen.enforced_at,
            ),
            "hourglass_owed_age_seconds": ("Since the oldest message that nobody was sent; 0 if none", seen.owed_since),
            "hourglass_ending_age_seconds": (
                "Since the oldest end that is not confirmed; 0 if none",
                seen.ending_since,
            ),
        }
        for name, (words, since) in ages.items():
            if since is not None:
                yield GaugeMetricFamily(name, words, value=max(0.0, (now - since).total_seconds()))
            elif name != "hourglass_enforced_age_seconds":
                yield GaugeMetricFamily(name, words, value=0.0)
        yield GaugeMetricFamily("hourglass_owed_queues", "Queues of messages that wait", value=len(outbox.waiting(tx)))
        yield GaugeMetricFamily(
            "hourglass_overdue_machines", "Machines 5 min past their deadline", value=self._late(tx)
        )

    def _late(self, tx: Session) -> int:
        over = (AttemptState.GONE, AttemptState.NEVER)
        late = select(func.count()).where(
            col(Attempt.state).not_in(over),
            col(Attempt.called_at).is_not(None),
            col(Attempt.deadline) <= self._clock.now() - OVERDUE_AFTER,
        )
        return tx.exec(late).one()


def counting(metrics: Metrics) -> Callable[[str, str], None]:
    """Return what counts calls of Slack's, as a plain function: a client that is deep-copied keeps it as it is."""

    def count(method: str, outcome: str) -> None:
        metrics.slack(method, outcome)

    return count


def _version() -> str:
    try:
        return version("hourglass-bot")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"

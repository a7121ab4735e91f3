"""The reaper: a process of its own that ends what is past its deadline, from the machines' own tags alone.

It is for the day on which the bot, its database or its scheduler is lost, so it needs none of them: it asks each
provider what carries this home's tag, and ends what the `deadline` tag says should have ended. It gives nothing up:
what would not end is met again in the next round. What it does not do: it adopts nothing, settles nothing, tells
nobody, and leaves alone a machine whose deadline it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from jobs.clock import Clock
from jobs.clockwatch import ClockWatch
from jobs.orders import tagged_deadline
from jobs.providers import Instance, InstanceState, Provider

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Report:
    """What one round came to; machines are `provider/id`."""

    ended: list[str] = field(default_factory=list)  # their end was asked for in this round, and accepted
    kept: list[str] = field(default_factory=list)  # their deadline is to come
    unread: list[str] = field(default_factory=list)  # no deadline that can be read: a person has to look
    doubted: list[str] = field(default_factory=list)  # past it by a clock that has just jumped: the next round decides
    failed: dict[str, str] = field(default_factory=dict)  # provider, or machine -> what it answered

    def __str__(self) -> str:
        """Return one line for the operator."""
        words = [f"{len(self.ended)} ended", f"{len(self.kept)} in their time"]
        if self.doubted:
            words.append(f"{len(self.doubted)} left for the next round because the clock jumped")
        if self.unread:
            words.append(f"no readable deadline on {', '.join(self.unread)}: look at them yourself")
        words += [f"{who} failed: {said}" for who, said in self.failed.items()]
        return "; ".join(words)


class Reaper:
    """Looks through every provider, round after round."""

    def __init__(self, providers: Mapping[str, Provider], clock: Clock, home: str) -> None:
        self._providers = providers
        self._clock = clock
        self._home = home
        self._watch = ClockWatch(clock)

    def round(self) -> Report:
        """Ask for the end of each of this home's machines that is past its deadline; never raises.

        One provider's failure, or one machine's, does not keep the others from theirs.
        """
        report = Report()
        trusted = self._watch.trusted()
        for name, provider in self._providers.items():
            try:
                machines = provider.list()
            # Anything at all: a defect in one provider must not let another's machines run on.
            except Exception as error:  # noqa: BLE001
                self._failed(report, name, error)
                continue
            for machine in machines:
                self._consider(provider, machine, trusted, report)
        return report

    def _consider(self, provider: Provider, machine: Instance, trusted: bool, report: Report) -> None:
        if machine.tags.get("home") != self._home or machine.state is InstanceState.GONE:
            return
        who = f"{machine.provider}/{machine.id}"
        deadline = tagged_deadline(machine)
        if deadline is None:
            report.unread.append(who)
            log.error("reap.no_deadline", machine=who, tag=machine.tags.get("deadline"))
        elif deadline > self._clock.now():
            report.kept.append(who)
        elif not trusted:
            report.doubted.append(who)
        else:
            self._end(provider, machine, who, deadline, report)

    def _end(self, provider: Provider, machine: Instance, who: str, deadline: datetime, report: Report) -> None:
        try:
            provider.terminate(machine)
        except Exception as error:  # noqa: BLE001  # as above: the next machine has its turn whatever this one does
            self._failed(report, who, error)
            return
        report.ended.append(who)
        late = (self._clock.now() - deadline).total_seconds()
        log.warning("reap.ended", machine=who, job=machine.tags.get("job"), seconds_late=round(late))

    @staticmethod
    def _failed(report: Report, who: str, error: Exception) -> None:
        report.failed[who] = str(error) or type(error).__name__
        log.error("reap.failed", who=who, error=report.failed[who], kind=type(error).__name__)

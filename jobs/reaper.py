"""The reaper: a process of its own that ends what is past its deadline, from the machines' own tags alone.

It is for the day on which the bot, its database or its scheduler is lost, so it needs none of them: it asks each
provider what carries this home's tag, and ends what the `deadline` tag says should have ended. It gives nothing up:
what would not end is met again in the next round. What it does not do: it adopts nothing, settles nothing, tells
nobody, and leaves alone a machine whose deadline it cannot read.

It can neither rent nor move a deadline: it is handed the two verbs that it needs, so a role that may list and
terminate is enough for it. It is the last to act. A listing may show a tag as it was a while ago, so a deadline has to
have been over for `STALE` before it counts; and a clock that disagrees with another one ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from jobs.clock import Clock
from jobs.clockwatch import ClockWatch, nobody
from jobs.orders import tagged_deadline
from jobs.providers import Instance, InstanceState

log = structlog.get_logger(__name__)

# A deadline that was moved in its last second may not be in a listing yet; clouds were seen to lag by seconds.
STALE = timedelta(seconds=60)


class Ender(Protocol):
    """What the reaper may ask of a provider (`jobs.providers.Provider` has these two, and more)."""

    def list(self) -> Sequence[Instance]:
        """Return this home's machines."""

    def terminate(self, instance: Instance) -> None:
        """Ask for its end."""


@dataclass(kw_only=True)
class Report:
    """What one round came to; machines are `provider/id`."""

    ended: list[str] = field(default_factory=list)  # their end was asked for in this round, and accepted
    kept: list[str] = field(default_factory=list)  # their deadline is to come, or a minute ago at most
    unread: list[str] = field(default_factory=list)  # no deadline that can be read: a person has to look
    doubted: list[str] = field(default_factory=list)  # past it by a clock that is in doubt: the next round decides
    failed: dict[str, str] = field(default_factory=dict)  # provider, or machine -> what it answered

    def __str__(self) -> str:
        """Return one line for the operator."""
        words = [f"{len(self.ended)} ended", f"{len(self.kept)} in their time"]
        if self.doubted:
            words.append(f"{len(self.doubted)} left for the next round because the clock is in doubt")
        if self.unread:
            words.append(f"no readable deadline on {', '.join(self.unread)}: look at them yourself")
        words += [f"{who} failed: {said}" for who, said in self.failed.items()]
        return "; ".join(words)


class Reaper:
    """Looks through every provider, round after round."""

    def __init__(
        self,
        providers: Mapping[str, Ender],
        clock: Clock,
        home: str,
        *,
        reference: Callable[[], datetime | None] = nobody,  # a clock that is not ours; None while it says nothing
    ) -> None:
        self._providers = providers
        self._clock = clock
        self._home = home
        self._watch = ClockWatch(clock, reference)

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

    def _consider(self, provider: Ender, machine: Instance, trusted: bool, report: Report) -> None:
        if machine.tags.get("home") != self._home or machine.state is InstanceState.GONE:
            return
        who = f"{machine.provider}/{machine.id}"
        deadline = tagged_deadline(machine)
        if deadline is None:
            report.unread.append(who)
            log.error("reap.no_deadline", machine=who, tag=machine.tags.get("deadline"))
        elif deadline + STALE > self._clock.now():
            report.kept.append(who)
        elif not trusted:
            report.doubted.append(who)
        else:
            self._end(provider, machine, who, deadline, report)

    def _end(self, provider: Ender, machine: Instance, who: str, deadline: datetime, report: Report) -> None:
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

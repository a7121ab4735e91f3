"""What a team says of its lines while a job runs: the form that it is said in, and how many of the newest lines fit."""

from __future__ import annotations

from collections.abc import Sequence

from bot import answering, logbook
from bot.facts import JobFacts
from bot.parts import Caller, Parts
from bot.views import lines
from bot.views.blocks import Block, Message
from jobs import descriptions
from jobs.errors import StoreError
from jobs.policy import Person
from trainer.declared import Declared, Told

_SHOWN = 6  # of the newest lines, above what is to be written


def form(parts: Parts, job_id: str, by: Person, caller: Caller, suggested: str) -> Block:
    """Return the form, filled in with what is said so far and what is suggested; raises as `descriptions.describe`."""
    facts = answering.look(parts, job_id, caller)
    descriptions.check(facts.job, by)
    written = dict.fromkeys((*(facts.spec.progress if facts.spec else ()), *filter(None, [suggested])))
    return lines.form(parts.say, facts, tuple(written), _newest(parts, facts)[-_SHOWN:])


def described(parts: Parts, job_id: str, caller: Caller) -> Message:
    """Return how a job's newest lines are read as its team says; raises `NotFound`."""
    facts = answering.look(parts, job_id, caller)
    progress = facts.spec.progress if facts.spec else ()
    newest = _newest(parts, facts)
    fit = _fitting(progress, newest)
    last = (fit[-1].step, fit[-1].values) if fit else (None, {})
    return lines.described(parts.say, facts, progress, len(newest), len(fit), last)


def _newest(parts: Parts, facts: JobFacts) -> Sequence[str]:
    try:
        return logbook.read(parts.store, facts, None).lines
    except StoreError:
        return ()  # they only help


def _fitting(progress: Sequence[str], newest: Sequence[str]) -> Sequence[Told]:
    """Return what those lines say that a description fits."""
    declared = Declared(progress)
    return [found for line in newest if (found := declared.read(line)) is not None]

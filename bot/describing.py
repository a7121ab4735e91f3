"""What a team says of its lines while a job runs: the form that it is said in, and how many of the newest lines fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot import answering, logbook
from bot.facts import JobFacts
from bot.parts import Caller, Parts
from bot.views import lines
from bot.views.blocks import Block, Message
from jobs import descriptions
from jobs.errors import StoreError
from jobs.policy import Person
from trainer.declared import Declared
from trainer.unread import Unread

_SHOWN = 6  # of the newest lines, above what is to be written


def form(parts: Parts, job_id: str, by: Person, caller: Caller, suggested: str) -> Block:
    """Return the form, filled in with what is said so far and what is suggested; raises as `descriptions.describe`."""
    facts = answering.look(parts, job_id, caller)
    descriptions.check(facts.job, by)
    newest = _newest(parts, facts)
    written: Sequence[str] = facts.spec.progress if facts.spec else ()
    written = tuple(dict.fromkeys((*written, suggested))) if suggested else written or _suggested(newest)
    return lines.form(parts.say, facts, written, newest[-_SHOWN:])


def described(parts: Parts, job_id: str, caller: Caller) -> Message:
    """Return how a job's newest lines are read as its team says; raises `NotFound`."""
    facts = answering.look(parts, job_id, caller)
    progress = facts.spec.progress if facts.spec else ()
    newest = _newest(parts, facts)
    fit, last = _tried(progress, newest)
    return lines.described(parts.say, facts, progress, len(newest), fit, last)


def _newest(parts: Parts, facts: JobFacts) -> Sequence[str]:
    try:
        return logbook.read(parts.store, facts, None).lines
    except StoreError:
        return ()  # they only help


def _suggested(newest: Sequence[str]) -> Sequence[str]:
    """Return how the form that comes most may be described, by a guess: it is easier to change than to write."""
    unread = Unread()
    for line in newest:
        unread.take(line)
    return [found.template for found in unread.suggestions(1)]


def _tried(progress: Sequence[str], newest: Sequence[str]) -> tuple[int, tuple[int | None, Mapping[str, float]]]:
    """Return how many lines a description fits, and which step and values the last of them says."""
    declared = Declared(progress)
    fit = [(line, told) for line in newest if (told := declared.read(line)) is not None]
    if not fit:
        return 0, (None, {})
    line, told = fit[-1]
    alone = Declared(progress).read(line)
    # A count within epochs of unknown length is another one for whoever has seen other lines before it.
    sure = alone is not None and alone.step == told.step
    return len(fit), (told.step if sure else None, told.values)

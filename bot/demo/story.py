"""The demo's story: a lead sets a budget, a researcher types one line, and the thread tells the rest."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot import outbox
from bot.demo.proof import Loaded, fetch, keep_thread, links, load_checkpoint
from bot.demo.repository import NAME
from bot.demo.stage import CHANNEL, LEAD, RESEARCHER, TEAMMATE, Stage
from bot.demo.terminal import Terminal
from bot.sandbox import Outcome
from jobs import db, ledger
from jobs.db import Database
from jobs.errors import HourglassError, Misconfigured
from jobs.lifecycle import TERMINAL, JobState
from jobs.model import Job
from jobs.values import DOLLAR

BUDGET_LINE = "/budget cap 300"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the job ended, and what was fetched."""

    job: Job
    checkpoint: Loaded | None
    plots: list[Path]


class Story:
    """One job, told in a terminal while it happens."""

    def __init__(self, stage: Stage, console: Console, *, limit: float) -> None:
        self.stage = stage
        self.people = stage.sandbox.people
        self._names = {self.people.user_id(name): name.capitalize() for name in (LEAD, RESEARCHER, TEAMMATE)}
        self.terminal = Terminal(console, self._name)
        self._database = Database.open(stage.settings.database(), migrate=False)
        self.console = console
        self.limit = limit  # seconds from the typed line to the settled job
        self._own = ""  # the job that the story typed; whoever has opened the page types others

    def close(self) -> None:
        """Let go of the bot's database, which the story only reads."""
        self._database.close()

    def line(self) -> str:
        """Return the line that the researcher types, ready to paste."""
        reference = f"/train {NAME}@{self.stage.git.sha[:7]}"
        command = f" -- python train.py --steps {self.stage.plan.steps}" if self.stage.plan.steps else ""
        if self.stage.plan.provider == "docker":
            image = f" image={self.stage.image}" if self.stage.image else ""
            return f"{reference} gpu=cpu hours=0.5{image}{command}"
        return f"{reference} gpu=a100 hours=4{command}"

    def tell(self, out: Path) -> Ending:
        """Run the job to its settled end; raises `HourglassError` when it does not get there."""
        self._type(LEAD, BUDGET_LINE)
        self._type(RESEARCHER, self.line())
        thread = self._first_message()
        job = self._watch(thread)
        messages = self.people.thread(CHANNEL, thread)
        plots = keep_thread(self.stage.sandbox, messages, out)
        self._ledger(job)
        self.terminal.heading("The checkpoint, fetched through the posted links")
        files = fetch(links(messages), out / "checkpoint")
        loaded = load_checkpoint(files) if files else None
        if loaded:
            self.console.print(
                f"torch.load(weights_only=True): {loaded.path.name}, {loaded.tensors} tensors, "
                f"{loaded.numbers:,} numbers, step {loaded.step}",
                highlight=False,
            )
        return Ending(job=job, checkpoint=loaded, plots=plots)

    def _type(self, who: str, text: str) -> None:
        self.terminal.typed(self._name(self.people.user_id(who)), text)
        outcome: Outcome = self.people.type(who, CHANNEL, text)
        if not outcome.ok:
            raise Misconfigured(f"{text!r} was not answered: {outcome.said or outcome.error}")
        if outcome.reply and outcome.reply.get("text"):
            self.console.print(f"{'':21}{self.terminal.plain(str(outcome.reply['text']))}", soft_wrap=True)

    def _first_message(self) -> str:
        def head() -> str | None:
            job = self.job()
            return job.thread_ts if job else None

        try:
            return str(self.people.wait_for(head, timeout=60))
        except TimeoutError:
            self.stage.bot.check()
            raise Misconfigured(f"No thread appeared within a minute; see {self.stage.bot.log}.") from None

    def _watch(self, thread: str) -> Job:
        give_up = time.monotonic() + self.limit
        while time.monotonic() < give_up:
            self.stage.bot.check()
            messages = self.people.thread(CHANNEL, thread)
            self.terminal.show(messages)
            job = self.job()
            # The last edit of the card, with the settled cost, follows the settling by a moment.
            if job and job.state in TERMINAL and self._all_told():
                self.terminal.show(self.people.thread(CHANNEL, thread))
                return job
            self._wait_for_news(thread, len(messages))
        raise HourglassError(
            f"The job did not end within {self.limit:.0f} s. Is this machine busy? What the bot did is in "
            f"{self.stage.bot.log}."
        )

    def _wait_for_news(self, thread: str, seen: int) -> None:
        # An edit of the card adds no message, so half a second without one is news enough.
        with suppress(TimeoutError):
            self.people.wait_for(lambda: len(self.people.thread(CHANNEL, thread)) > seen, timeout=0.5)

    def _all_told(self) -> bool:
        with self._database.read() as tx:
            return outbox.at_rest(tx)

    def job(self) -> Job | None:
        """Return the job that the story typed, once it is written down; not one that somebody typed beside it."""
        with self._database.read() as tx:
            if not self._own:
                oldest = db.jobs_of_team(tx, self.stage.settings.team, limit=100)[-1:]
                self._own = oldest[0].id if oldest else ""
            return db.get_job(tx, self._own) if self._own else None

    def _ledger(self, job: Job) -> None:
        self.terminal.heading("The ledger")
        with self._database.read() as tx:
            table = Table(box=None, pad_edge=False)
            for column in ("entry", "amount", "note"):
                table.add_column(column, justify="right" if column == "amount" else "left")
            for entry in ledger.entries(tx, job.id):
                table.add_row(entry.kind.value, f"${entry.micros / DOLLAR:,.4f}", entry.note)
            budget = ledger.summary(tx, db.get_team(tx, job.team_id), job.finished_at or job.created_at)
        self.console.print(table)
        month = (budget.cap or 0, budget.held, budget.spent, budget.free)
        cap, held, spent, free = (f"${micros / DOLLAR:,.2f}" for micros in month)
        self.console.print(f"this month: cap {cap}, held {held}, spent {spent}, free {free}", highlight=False)

    def _name(self, user: str) -> str:
        return self._names.get(user, "Hourglass")


def succeeded(ending: Ending) -> bool:
    """Return whether the demo may say so: the job did, and its checkpoint loads."""
    return ending.job.state is JobState.SUCCEEDED and ending.checkpoint is not None

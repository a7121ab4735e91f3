"""A deployment for the tests: a sandbox workspace, repositories, and the bot as the Procfile starts it.

Nothing in it is faked but Slack: `hourglass serve` is a process of its own, which a test may kill and start again.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlmodel import col, select

from bot import outbox
from bot.demo.processes import Process
from bot.machines import connected
from bot.manifest import manifest
from bot.sandbox import AppConfig, Sandbox
from bot.sandbox.outcome import Outcome
from jobs import db, ledger
from jobs.clock import SystemClock
from jobs.db import Database
from jobs.lifecycle import TERMINAL
from jobs.model import Attempt, Entry, EntryKind, Job, Outbox
from jobs.providers import Instance, InstanceState
from jobs.settings import load

T = TypeVar("T")
CHANNEL, TEAM = "#vision", "vision"
# Waiting for real processes on a busy machine; a test that needs this long has failed.
LIMIT = 120.0


class Deployment:
    """One bot, one workspace, one folder; a context manager that leaves no process and no machine."""

    def __init__(self, folder: Path, *, provider: str = "practice", settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.hosts = folder / "git"
        self.sandbox = Sandbox.start(app=AppConfig.from_manifest(manifest()))
        self.people = self.sandbox.people
        state = folder / "state"
        self.environment = {
            "SLACK_BOT_TOKEN": self.sandbox.bot_token,
            "SLACK_APP_TOKEN": self.sandbox.app_token,
            "SLACK_API_URL": self.sandbox.api_url,
            "HOURGLASS_HOME": str(uuid.uuid4()),
            "HOURGLASS_STATE": str(state),
            "HOURGLASS_PROVIDERS": provider,
            "HOURGLASS_GIT_HOSTS": f"{self.hosts.as_uri()}/",
            "HOURGLASS_LEADS": self.people.user_id("lea"),
            "HOURGLASS_TEAM": TEAM,
            "HOURGLASS_WEB_PORT": str(_free_port()),
            "HOURGLASS_FOLLOW_SECONDS": "0.5",
            "HOURGLASS_ENFORCE_SECONDS": "2",
            **(settings or {}),
        }
        self.settings = load({**os.environ, **self.environment})
        state.mkdir(parents=True)
        self._starts = 0
        self.bot = self.start()
        self._database = Database.open(self.settings.database(), migrate=False)

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *_: object) -> None:
        self.bot.close()
        self._database.close()
        self.sandbox.close()
        for provider in connected(self.settings, SystemClock()).values():
            for instance in provider.list():  # the record of one that ended by itself goes too
                provider.terminate(instance)

    # ------------------------------------------------------------ the bot's process

    def start(self) -> Process:
        """Start `hourglass serve` and wait until it hears the workspace."""
        self._starts += 1
        bot = Process("bot", ["serve"], self.environment, self.folder / f"bot-{self._starts}.log")
        self._until(lambda: self.sandbox.connections() > 0, bot)
        self.bot = bot
        return bot

    def kill(self) -> None:
        """End the bot as a crash would."""
        self.bot.kill()
        self._until(lambda: self.sandbox.connections() == 0)

    # ------------------------------------------------------------ repositories

    def repository(self, name: str, files: Mapping[str, str]) -> str:
        """Make `name` with one commit of `files`; return its sha."""
        folder = self.hosts / name
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        identity = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"} | {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "Ada"), ("EMAIL", "ada@acme.example"))
        }

        def git(*arguments: str) -> str:
            return subprocess.run(
                ["git", "-C", str(folder), *arguments],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, **identity},
            ).stdout.strip()

        if not (folder / ".git").exists():
            git("init", "-q", "-b", "main")
        git("add", "-A")
        git("commit", "-qm", "Change it", "--allow-empty")  # another story may have left it so
        return git("rev-parse", "HEAD")

    def script(self, name: str, source: str, *, task: str = "") -> str:
        """Make a repository whose command is `python run.py`; return `owner/repo@sha`."""
        task = task or "commands: [python run.py]\ncheckpoints: {path: out, upload_every: 1s, keep: 2}\n"
        return f"{name}@{self.repository(name, {'run.py': source, '.hourglass.yml': task})}"

    # ------------------------------------------------------------ people

    def type(self, who: str, text: str, *, channel: str = CHANNEL) -> Outcome:
        """Type a line and return what came of it."""
        return self.people.type(who, channel, text)

    def budget(self, dollars: int = 300) -> None:
        """Let the lead set the cap."""
        assert self.type("lea", f"/budget cap {dollars}").ok

    def train(self, line: str, *, who: str = "ada", channel: str = CHANNEL, team: str = TEAM) -> Job:
        """Type a `/train` and return its job's row."""
        before = {job.id for job in self.jobs(team)}
        outcome = self.type(who, f"/train {line}", channel=channel)
        assert outcome.ok, outcome
        assert "On it" in str(outcome.reply), outcome.reply
        return self.until(lambda: next((job for job in self.jobs(team) if job.id not in before), None))

    def thread(self, job: Job) -> list[dict[str, Any]]:
        """Return the job's thread, the card first; waits until the card is there."""
        ts = self.until(lambda: self.job(job.id).thread_ts)
        return self.people.thread(job.channel, ts)

    def texts(self, job: Job) -> str:
        """Return what the thread says, in texts and in blocks, one message a line."""
        return "\n".join(f"{message.get('text', '')} {message.get('blocks', '')}" for message in self.thread(job))

    def card(self, job: Job) -> dict[str, Any]:
        """Return the job's card, the head of its thread."""
        return self.thread(job)[0]

    def cards(self, job: Job) -> list[dict[str, Any]]:
        """Return every card of the job's that stands in the channel, once everybody was told everything."""
        self.until(self.all_told)
        return [message for message in self.people.messages(job.channel) if job.id in str(message.get("blocks"))]

    def press(self, who: str, job: Job, action: str) -> Outcome:
        """Press a button of the job's card; waits until the card has it."""
        ts = str(self.until(lambda: self.card(job) if f"'{action}'" in str(self.card(job)["blocks"]) else None)["ts"])
        return self.people.press(who, job.channel, ts, action)

    def whispers(self, who: str, channel: str | None = None) -> str:
        """Return what only this person sees, texts and blocks, one message a line."""
        return "\n".join(f"{seen['text']} {seen.get('blocks')}" for seen in self.people.ephemerals(who, channel))

    def direct(self, who: str) -> str:
        """Return what the bot wrote to this person alone, one message a line."""
        return "\n".join(f"{message['text']} {message.get('blocks')}" for message in self.people.dms(who))

    def form(self, who: str, callback: str) -> str:
        """Return the id of this person's open form, once it is filled in."""

        def filled() -> str | None:
            stack = self.people.views(who)
            form = stack[-1] if stack else {}
            return str(form["id"]) if form.get("callback_id") == callback and form.get("submit") else None

        return self.until(filled)

    # ------------------------------------------------------------ rows and machines

    def jobs(self, team: str = TEAM) -> list[Job]:
        """Return a team's jobs, the newest first."""
        with self._database.read() as tx:
            return list(db.jobs_of_team(tx, team, limit=100))

    def job(self, job_id: str) -> Job:
        """Return one job as it is now."""
        with self._database.read() as tx:
            return db.get_job(tx, job_id)

    def attempts(self, job: Job) -> list[Attempt]:
        """Return a job's attempts."""
        with self._database.read() as tx:
            return db.attempts(tx, job.id)

    def left_long_ago(self, job: Job, span: timedelta) -> None:
        """Let the first of several machines have left so much earlier than it did: nobody waits for it here."""
        with self._database.write() as tx:
            row = db.get_job(tx, job.id)
            assert row.first_left_at is not None
            db.touch(tx, row, SystemClock().now(), first_left_at=row.first_left_at - span)

    def all_told(self) -> bool:
        """Return whether nobody is still to be told anything, and every card shows its job as it is."""
        with self._database.read() as tx:
            return outbox.at_rest(tx)

    def owed(self) -> int:
        """Return how many messages are still owed to people."""
        with self._database.read() as tx:
            return len(tx.exec(select(Outbox.id).where(col(Outbox.state).in_(("owed", "uncertain")))).all())

    def entries(self, job: Job) -> list[Entry]:
        """Return a job's ledger entries."""
        with self._database.read() as tx:
            return ledger.entries(tx, job.id)

    def balance(self, job: Job) -> int:
        """Return what the job still holds: nothing, once it is settled."""
        sums = dict.fromkeys(EntryKind, 0)
        for entry in self.entries(job):
            sums[entry.kind] += entry.micros
        return sums[EntryKind.HOLD] - sums[EntryKind.RELEASE] - sums[EntryKind.CHARGE]

    def held(self) -> int:
        """Return what is held this month, over all jobs; nothing where no hold was ever made."""
        with self._database.read() as tx:
            team = db.get_team(tx, TEAM)
            period = db.find_period(tx, team, SystemClock().now())
            return period.held if period else 0

    def free(self) -> int:
        """Return what the month has left; other stories may have spent of it."""
        with self._database.read() as tx:
            period = db.find_period(tx, db.get_team(tx, TEAM), SystemClock().now())
            assert period is not None
            return period.cap + period.granted - period.held - period.spent

    def machines(self) -> list[Instance]:
        """Return the machines that are not gone, as the providers list them."""
        return [
            instance
            for provider in connected(self.settings, SystemClock()).values()
            for instance in provider.list()
            if instance.state is not InstanceState.GONE
        ]

    def ended(self, job: Job, limit: float = LIMIT) -> Job:
        """Wait for the job's terminal state and return its row."""
        return self.until(lambda: found if (found := self.job(job.id)).state in TERMINAL else None, limit=limit)

    def nobody_left(self, *, by: datetime) -> None:
        """Wait until no machine stands, the bot alive or not; fails when one stands after `by`."""
        left = (by - SystemClock().now()).total_seconds()
        self._until(lambda: not self.machines(), limit=left, every=0.5)  # every look connects the providers anew

    # ------------------------------------------------------------ waiting

    def until(self, look: Callable[[], T | None], *, limit: float = LIMIT, every: float = 0.1) -> T:
        """Return the first true value of `look` while the bot lives; fails with the bot's last words."""
        return self._until(look, self.bot, limit=limit, every=every)

    def wait(self, look: Callable[[], T | None], *, limit: float = LIMIT) -> T:
        """Return the first true value of `look`, the bot alive or not."""
        return self._until(look, limit=limit)

    def _until(
        self, look: Callable[[], T | None], bot: Process | None = None, *, limit: float = LIMIT, every: float = 0.1
    ) -> T:
        give_up = time.monotonic() + limit
        while time.monotonic() < give_up:
            if value := look():
                return value
            if bot is not None:
                bot.check()
            time.sleep(every)  # another process's work: there is nothing here to be woken by
        logs = "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("bot-*.log")))
        raise AssertionError(f"Not seen within {limit:.0f} s. The bot's last words:\n{logs}")


def _free_port() -> int:
    """Return a port that the bot can have each time it starts.

    The kernel hands none of these out by itself, so nobody gets it between two starts; and the tests' seeded chance
    would give every worker the same.
    """
    for _ in range(100):
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("No port between 20000 and 30000 is free.")

"""A stage for stories about the face: the real notifier, listeners and service, before a strict workspace.

Nothing is patched. The workspace is `bot.sandbox`, as strict as Slack; its clock and the bot's move together and
only when the story says so. What machines would do is written as the renting side writes it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from bot.app import build_app
from bot.catalogue import Catalogue
from bot.commits import Commits
from bot.links import Links
from bot.manifest import manifest
from bot.notify import Notifier
from bot.parts import Parts
from bot.people import People
from bot.plots import Drawing, Plot, PlotFailed
from bot.sandbox import AppConfig, ManualClock, Sandbox
from bot.sandbox.seed import Room, Seed
from jobs import db as rows
from jobs.lifecycle import AttemptEventName, JobEventName
from jobs.model import Checkpoint, Job, MetricPoint, NoteKind
from jobs.offers import Desk
from jobs.providers import Traits
from jobs.settings import load
from jobs.source import SourceResolver
from jobs.values import JobSpec
from tests.support.builders import some_traits
from tests.support.clock import START
from tests.support.house import House
from tests.support.socket_mode import connect, hang_up
from trainer import wire
from trainer.storage import FolderStore

GROUP = "mpdm-ada--gus-1"  # a direct message among several, as Slack calls it; its id is like a channel's
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)  # what these stories upload as a picture; `test_plots` draws real ones


class Sketches:
    """Draws at once and always the same, unless it is told to fail; remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Plot] = []
        self.failure: PlotFailed | None = None

    def draw(self, plot: Plot) -> Future[bytes]:
        """Return a picture that is there already."""
        self.asked.append(plot)
        drawn: Future[bytes] = Future()
        if self.failure:
            drawn.set_exception(self.failure)
        else:
            drawn.set_result(PNG)
        return drawn


class Standing(dict[str, str]):
    """Asks the workspace who somebody is, where the house asks a table."""

    def __init__(self, people: People) -> None:
        super().__init__()
        self._people = people

    def get(self, person: str, default: Any = None) -> Any:
        """Return why this person may not rent."""
        return self._people.standing(person) or default


class Stage(House):
    """A team in #vision: Ada researches, Tam is her teammate, Lea leads."""

    def __init__(self, folder: Path, *, traits: Traits | None = None, **options: Any) -> None:
        super().__init__(traits=traits or some_traits())
        self.workspace_clock = ManualClock(START)
        config = AppConfig.from_manifest(manifest())
        group = Room(name=GROUP, members=("ada", "gus"), bot=False, private=True)
        seed = Seed(rooms=(*Seed().rooms, group))
        self.sandbox = Sandbox.start(clock=self.workspace_clock, app=config, seed=seed)
        self.people = self.sandbox.people
        self.vision = self.people.channel_id("vision")
        self.ada, self.tam, self.lea, self.gus = (self.people.user_id(name) for name in ("ada", "tam", "lea", "gus"))
        self.store = FolderStore(folder / "store")
        self.commits: Commits = options.pop("commits", None) or SourceResolver(
            git_hosts=[f"{(folder / 'host').as_uri()}/"], git_tokens={}, cache_dir=folder / "git"
        )
        self.sketches = Sketches()
        self.say = options.pop("say", None) or Catalogue.load()
        self.client = WebClient(token=self.sandbox.bot_token, base_url=self.sandbox.api_url)
        self.settings = load(
            {
                "HOURGLASS_TEAM": "vision",
                "HOURGLASS_LEADS": self.lea,
                "SLACK_BOT_TOKEN": self.sandbox.bot_token,
                "SLACK_SIGNING_SECRET": self.sandbox.signing_secret,
                "SLACK_APP_TOKEN": self.sandbox.app_token,
                "SLACK_API_URL": self.sandbox.api_url,
            }
            | options.pop("settings", {})
        )
        self.restart()
        self._socket: SocketModeHandler | None = None

    def restart(self, drawing: Drawing | None = None) -> None:
        """Throw the face away and build it anew over the same rows, as after a crash."""
        traits = {name: provider.traits for name, provider in self.providers.items()}
        self.directory = People(
            client=self.client,
            clock=self.clock,
            leads=self.settings.leads,
            lead_group=self.settings.lead_group,
            say=self.say,
            patience=30,  # a story is not about how busy the machine is that it runs on
        )
        links = Links(store=self.store, secret=b"k" * 32, base="http://files.test", minutes=60, clock=self.clock)
        self.notifier = Notifier(
            db=self.db,
            clock=self.clock,
            client=self.client,
            people=self.directory,
            links=links,
            plotter=drawing or self.sketches,
            say=self.say,
            traits=traits,
            settings=self.settings,
            market=Desk(self.providers),
        )
        self.neighbours.outsiders = Standing(self.directory)
        self.parts = Parts(
            service=self.service,
            db=self.db,
            clock=self.clock,
            settings=self.settings,
            people=self.directory,
            links=links,
            say=self.say,
            traits=traits,
            desk=Desk(self.providers),
            commits=self.commits,
            store=self.store,
            wake=self.notifier.wake,
        )

    def open(self) -> App:
        """Connect the listeners to the workspace by Socket Mode; return the app."""
        app = build_app(self.parts, self.client)
        self._socket = connect(app, self.sandbox)
        self.people.wait_for(lambda: self.sandbox.connections() > 0)
        return app

    def close(self) -> None:
        """Leave nothing running."""
        if self._socket is not None:
            hang_up(self._socket, self.sandbox)
        self.sandbox.close()
        self.db.close()

    # ------------------------------------------------------------ time and telling

    def pass_time(self, seconds: float) -> None:
        """Let both clocks run."""
        self.clock.advance(seconds)
        self.workspace_clock.advance(seconds)

    def tell(self, *, patience: float = 60.0) -> None:
        """Let the notifier work until nobody is owed anything, time passing as it must."""
        for _ in range(int(patience / 1.1)):
            self.notifier.round()
            if self.notifier.idle():
                return
            self.pass_time(1.1)
        raise AssertionError("The outbox did not come to rest.")

    @staticmethod
    def until(condition: Callable[[], bool], limit: float = 60.0) -> None:
        """Wait until a listener's thread has made something true."""
        deadline, pause = time.monotonic() + limit, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            pause.wait(0.02)

    # ------------------------------------------------------------ what happens to a job

    def typed(self, *, minutes: float = 240.0, person: str | None = None, **request: Any) -> Job:
        """Return a job of Ada's in #vision after intake."""
        job = self.asked(**{"person": person or self.ada, "channel": self.vision, **request})
        if isinstance(self.neighbours.spec, JobSpec):
            self.neighbours.spec = replace(self.neighbours.spec, minutes=minutes)
        self.intake.work(job.id)
        return self.job(job.id)

    def launched(self, job: Job, *, note: str = "") -> Job:
        """Give a queued job a machine that starts and is billed."""
        job = self.with_machine(job, running=False)
        with self.db.write() as tx:
            attempt = rows.attempts(tx, job.id)[-1]
            rows.move_attempt(tx, attempt, AttemptEventName.LAUNCHED, self.clock.now(), note=note, instance_id="i-1")
            rows.touch(tx, rows.get_job(tx, job.id), self.clock.now())
        return self.job(job.id)

    def running(self, job: Job | None = None, **facts: Any) -> Job:
        """Return a job whose machine trains."""
        job = self.launched(job or self.typed(minutes=60))
        with self.db.write() as tx:
            attempt = rows.attempts(tx, job.id)[-1]
            rows.move_attempt(tx, attempt, AttemptEventName.UP, self.clock.now())
            rows.move(tx, rows.get_job(tx, job.id), JobEventName.RUN, self.clock.now(), stage="run", **facts)
        return self.job(job.id)

    def trained(self, job: Job, steps: int, *, total: int = 4000, notes: bool = True) -> Job:
        """Let the loss fall over so many steps, a point every 100."""
        with self.db.write() as tx:
            fresh = rows.get_job(tx, job.id)
            for step in range((fresh.step or -100) + 100, steps + 1, 100):
                point = {"job_id": job.id, "attempt": 1, "series": "loss", "step": step, "odd": ""}
                rows.insert_once(tx, MetricPoint, {**point, "value": 4.0 - 2.17 * step / total, "at": self.clock.now()})
            rows.touch(tx, fresh, self.clock.now(), step=steps, total=total, loss=4.0 - 2.17 * steps / total)
            if notes:
                rows.note_on(tx, fresh, NoteKind.FIRST_PLOT, self.clock.now(), data={"series": "loss"})
        return self.job(job.id)

    def saved(self, job: Job, step: int, files: Mapping[str, bytes] | None = None) -> Checkpoint:
        """Let the machine finish a checkpoint."""
        files = files or {"model.pt": b"weights"}
        prefix = wire.checkpoint_prefix(job.id, 1, f"step-{step}")
        for path, data in files.items():
            self.store.put(f"{prefix}/{path}", data)
        listed = [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in files.items()
        ]
        row = Checkpoint(
            job_id=job.id,
            attempt=1,
            name=f"step-{step}",
            step=step,
            manifest=f"{prefix}/manifest.json",
            files=listed,
            bytes=sum(map(len, files.values())),
            at=self.clock.now(),
        )
        with self.db.write() as tx:
            tx.add(row)
            tx.flush()
            told = {"name": row.name, "step": step, "manifest": row.manifest, "bytes": row.bytes}
            self.noted(tx, job, NoteKind.CHECKPOINT, told, key=f"{job.id}:checkpoint:1:{row.name}")
        return row

    def noted(self, tx: Any, job: Job, kind: NoteKind, data: Mapping[str, Any], key: str = "") -> None:
        """Write a fact about a job and let its card know."""
        fresh = rows.get_job(tx, job.id)
        rows.note(
            tx,
            key=key or f"{job.id}:{kind.value}",
            kind=kind,
            at=self.clock.now(),
            team_id=fresh.team_id,
            job_id=fresh.id,
            data=data,
        )
        rows.touch(tx, fresh, self.clock.now())

    def happens(self, job: Job, kind: NoteKind, data: Mapping[str, Any] | None = None, **columns: Any) -> Job:
        """Let a fact about a job be written, with the columns that go with it."""
        with self.db.write() as tx:
            self.noted(tx, job, kind, data or {})
            if columns:
                rows.touch(tx, rows.get_job(tx, job.id), self.clock.now(), **columns)
        return self.job(job.id)

    def ended(self, job: Job, reason: str = "finished", **outcome: Any) -> Job:
        """Let the agent tell its outcome, as the following side writes it."""
        told = {"reason": reason, "code": 0, "signal": None, "tail": [], "steps": job.step, "attempt": 1} | outcome
        with self.db.write() as tx:
            fresh = rows.get_job(tx, job.id)
            rows.move(tx, fresh, JobEventName.STOP, self.clock.now(), stop_reason=reason, outcome=told)
            self.noted(tx, job, NoteKind.ENDED, {"reason": reason})
        return self.job(job.id)

    def settled(self, job: Job, charge: int, event: JobEventName = JobEventName.SUCCEED) -> Job:
        """Let the machine be gone and the money settled."""
        with self.db.write() as tx:
            attempt = rows.attempts(tx, job.id)[-1]
            gone = {"billed": charge, "billed_until": self.clock.now()}
            rows.move_attempt(tx, attempt, AttemptEventName.GONE, self.clock.now(), **gone)
        closed = self.settle(job, charge, event)
        facts = {"charged": closed.charged, "held": closed.held, "released": closed.released, "overrun": closed.overrun}
        with self.db.write() as tx:
            rows.note_on(tx, rows.get_job(tx, job.id), NoteKind.SETTLED, self.clock.now(), data=facts)
        return self.job(job.id)

    # ------------------------------------------------------------ what people see

    def card(self) -> dict[str, Any]:
        """Return the newest message at the top level of #vision."""
        return self.people.messages(self.vision)[-1]

    def replies(self) -> list[dict[str, Any]]:
        """Return what was said in the newest thread, without its head."""
        return self.people.thread(self.vision, self.card()["ts"])[1:]

    def texts(self) -> list[str]:
        """Return the texts of those replies."""
        return [reply["text"] for reply in self.replies()]


def shown(message: Mapping[str, Any]) -> str:
    """Return everything that a message shows in its blocks, in order."""

    def texts(value: object) -> list[str]:
        if isinstance(value, dict):
            return [v if k == "text" and isinstance(v, str) else "\n".join(texts(v)) for k, v in value.items()]
        return ["\n".join(texts(one)) for one in value] if isinstance(value, list) else []

    return "\n".join(line for line in "\n".join(texts(message.get("blocks", []))).splitlines() if line.strip())


def buttons(message: Mapping[str, Any]) -> list[str]:
    """Return the action ids that a message offers."""
    return [
        element["action_id"]
        for block in message.get("blocks", [])
        for element in [*block.get("elements", []), block.get("accessory") or {}]
        if element.get("type") == "button"
    ]

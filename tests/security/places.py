"""Every place into which a person, a repository or a machine can write, and what has to hold there.

A place takes one string, lets the product's own code do what it does with it, and returns what went wrong: what was
neither refused in words nor used as the very string that it is, or would do something in Slack.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot import logbook, plots
from bot.arguments import people
from bot.catalogue import Catalogue
from bot.links import LinkRefused, Links
from bot.logbook import Page
from bot.parse import parse_mention, parse_train
from bot.parse_budget import parse_budget
from bot.verbs import Run
from bot.views import alt, answers, approval, budget, card, modals, replies
from bot.views.blocks import Message
from bot.words import quoted
from jobs import boot, telemetry
from jobs.archive import shown
from jobs.environment import check_name, check_value
from jobs.errors import BadRequest, HourglassError, NotFound
from jobs.lifecycle import AttemptState, JobState
from jobs.repository import check_ref, locate
from jobs.spec import merge
from jobs.taskfile import parse_task_file
from tests.face.scenes import ADA, LEA, TRAINING, attempt, checkpoint, facts
from tests.security.inert import faults
from tests.support.builders import a_request, a_source, a_team
from tests.support.clock import START, FakeClock
from trainer import wire
from trainer.storage import FolderStore, StoreFault

SAY = Catalogue.load()
ASKED = {"delivery": "d", "channel": "C1TRAIN", "person": ADA}
PEOPLE = (ADA, LEA)
FILES = "https://files.test/"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a string goes; `put` returns what went wrong with it there."""

    name: str
    put: Callable[[str, Path], list[str]]


def told(error: HourglassError, *, public: bool = False) -> list[str]:
    """Return what is wrong with how a refusal reads."""
    empty = [] if str(error).strip() else ["it says nothing"]
    fix = error.fix if isinstance(error, BadRequest) else None
    message = answers.refused(SAY, str(error), fix, answers.mention(ADA)) if public else answers.failure(SAY, error)
    # To the one who typed it, ids of their own typing may become mentions; nobody else reads it.
    allowed = PEOPLE if public else (*PEOPLE, "U0VICTIM1")
    return empty + faults(message, people=allowed)


# ------------------------------------------------------------ what people type


def _typed(build: Callable[[str], str]) -> Callable[[str, Path], list[str]]:
    def put(text: str, _: Path) -> list[str]:
        line = build(text)
        try:
            command = parse_train(line, **ASKED)
        except BadRequest as error:
            return told(error)
        return _request(command.request) if isinstance(command, Run) else []

    return put


def _request(request: Any) -> list[str]:
    found = []
    try:
        place = locate(request.repo, ["https://github.com/"])
        if any(not url.startswith("https://github.com/") or ".." in url for url in place.urls):
            found.append(f"it leads to {place.urls}")
        if request.ref is not None:
            check_ref(request.ref)
            if request.ref.startswith("-") or any(c.isspace() for c in request.ref):
                found.append(f"ref {request.ref!r}")
    except BadRequest as error:
        return told(error)
    for name, value in request.overrides.get("env", {}).items():
        check_value(check_name(name), value)
    asked = facts(JobState.AWAITING_APPROVAL, request=request, needs_lead=["cost"], source=None)
    for message in (card.head(SAY, asked, [LEA]), approval.copy(SAY, asked), modals.deny(SAY, asked)):
        found += faults(message, people=(*PEOPLE, *request.notify))
    return found


def _notify(text: str, _: Path) -> list[str]:
    try:
        names = people(text)
    except Exception as error:  # noqa: BLE001  the parser's own, which its caller turns into an answer
        return [] if type(error).__name__ == "Wrong" else [repr(error)]
    return [f"{name!r} is nobody's name" for name in names if not name.lstrip("@").replace(".", "").replace(
        "_", "").replace("-", "").isalnum()]  # fmt: skip


def _budget(text: str, _: Path) -> list[str]:
    try:
        parse_budget(text)
    except BadRequest as error:
        return told(error)
    return []


def _mentioned(text: str, _: Path) -> list[str]:
    try:
        parse_mention(f"<@U0BOT> {text}", job="k7m2pqx", **ASKED)
    except BadRequest as error:
        return told(error)
    return []


def _grep(text: str, _: Path) -> list[str]:
    pages = (Page(), Page(lines=["x " + text]), Page(whole=False))
    messages = [answers.logs(SAY, facts(), page, text) for page in pages]
    return [fault for message in messages for fault in faults(message, people=PEOPLE)]


def _echoed(text: str, _: Path) -> list[str]:
    messages = (
        answers.not_written(SAY, f"/train {text}"),
        answers.accepted(SAY, text, "k7m2pqx", again=False),
        answers.failure(SAY, NotFound(f"There is no job `{text}`.")),
    )
    return [fault for message in messages for fault in faults(message, people=(*PEOPLE, "U0VICTIM1"))]


PEOPLE_TYPE = {
    "repository": _typed(lambda text: f"{text} gpu=a100 hours=1"),
    "quoted repository": _typed(lambda text: f"{quoted(text)}@main gpu=a100 hours=1"),
    "owner": _typed(lambda text: f"{quoted(text)}/vit@main gpu=a100 hours=1"),
    "ref": _typed(lambda text: f"{quoted('acme/vit@' + text)} gpu=a100 hours=1"),
    "gpu": _typed(lambda text: f"acme/vit@main gpu={quoted(text)} hours=1"),
    "hours": _typed(lambda text: f"acme/vit@main gpu=a100 hours={quoted(text)}"),
    "image": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 image={quoted(text)}"),
    "provider": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 provider={quoted(text)}"),
    "max_cost": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 max_cost={quoted(text)}"),
    "key": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 {quoted(text)}=1"),
    "name of a variable": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 env.{quoted(text)}=1"),
    "variable": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 env.X={quoted(text)}"),
    "reason": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 reason={quoted(text)}"),
    "notify": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 notify={quoted(text)}"),
    "command": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 -- python train.py {quoted(text)}"),
    "raw command": _typed(lambda text: f"acme/vit@main gpu=a100 hours=1 -- {text}"),
    "verb": _typed(lambda text: text),
    "job": _typed(lambda text: f"status {text}"),
    "rerun": _typed(lambda text: f"rerun k7m2pqx env.X={quoted(text)}"),
    "help": _typed(lambda text: f"help {text}"),
    "names of people": _notify,
    "budget": _budget,
    "mention": _mentioned,
    "word in a log": _grep,
    "echo": _echoed,
}


# ------------------------------------------------------------ what a repository says


def _task(build: Callable[[str], Any]) -> Callable[[str, Path], list[str]]:
    def put(text: str, _: Path) -> list[str]:
        try:
            written = yaml.safe_dump(build(text), allow_unicode=True)
        except yaml.YAMLError:
            return []  # such a character no file of theirs can hold in this way; `raw task file` has it
        return _read(written)

    return put


def _read(written: str) -> list[str]:
    try:
        parse_task_file(written)
        spec = merge(a_request(overrides={"gpu": "a100", "hours": "1"}, argv=("python", "x.py")), written)
    except HourglassError as error:
        return told(error, public=True)
    found = [f"{name} leads out" for name in (spec.checkpoint_path,) if ".." in Path(name).parts or name[:1] in "/~"]
    for name, value in spec.env.items():
        check_value(check_name(name), value)
    return found + faults(card.head(SAY, facts(spec=spec), [LEA]), people=PEOPLE)


def _raw_task(text: str, _: Path) -> list[str]:
    return _read(text)


def _source(text: str, _: Path) -> list[str]:
    """A commit's subject, a path in it, the name of a branch in the list of those that there are."""
    source = a_source(subject="".join(c if c.isprintable() else " " for c in text)[:200])
    error = BadRequest(f"`acme/vit` has no branch `x`. Its branches: `{text}`. `{shown(text)}` is a link.")
    return faults(card.head(SAY, facts(source=source), [LEA]), people=PEOPLE) + told(error, public=True)


REPOSITORIES_SAY = {
    **{
        f"task file: {key}": _task(lambda text, key=key: {key: text})  # type: ignore[misc]
        for key in ("image", "registry_auth", "commands", "setup", "secrets", "nodes", "spot_policy", "max_duration",
                    "max_price", "backends", "env", "resources", "retry", "inputs", "checkpoints")
    },
    "task file: key": _task(lambda text: {text: 1}),
    "task file: gpu": _task(lambda text: {"resources": {"gpu": text}}),
    "task file: name of a variable": _task(lambda text: {"env": {text: "1"}}),
    "task file: variable": _task(lambda text: {"env": {"X": text}}),
    "task file: checkpoint folder": _task(lambda text: {"checkpoints": {"path": text}}),
    "task file: list of commands": _task(lambda text: {"commands": [text, text]}),
    "raw task file": _raw_task,
    "commit": _source,
}  # fmt: skip


# ------------------------------------------------------------ what a machine, a provider or a lead says


def _job(
    columns: Callable[[str], Mapping[str, Any]], state: JobState = JobState.RUNNING
) -> Callable[[str, Path], list[str]]:
    def put(text: str, _: Path) -> list[str]:
        known = facts(state, **{**TRAINING, **columns(text)})
        messages: list[Message | dict[str, Any]] = [
            card.head(SAY, known, [LEA]), approval.copy(SAY, known), answers.stopping(SAY, known),
            answers.jobs(SAY, [known], "vision", mine=False), replies.warning(SAY, known, {30: "$1.00"}),
            replies.ended(SAY, known, [ADA], None, []), approval.denied(SAY, known), modals.deny(SAY, known),
        ]  # fmt: skip
        return [fault for message in messages for fault in faults(message, people=PEOPLE)]

    return put


def _events(text: str, _: Path) -> list[str]:
    """A machine's events, as they become columns, curves and words."""
    told_events = [
        wire.Event(t=START.timestamp(), kind=wire.EventKind(kind), data=data)
        for kind, data in (
            ("stage", {"stage": text, "note": text}),
            ("stage", {"stage": "setup", "note": text}),
            ("gpu", {"name": text, "driver": text, "cuda": text, "torch": text, "count": 2}),
            ("metric", {"values": {text: 1.0, "loss": text}, "step": text}),
            ("progress", {"step": text, "total": text, "eta": text}),
            ("notice", {"code": text, "text": text}),
            ("outcome", {"reason": text, "code": text, "signal": text, "tail": [text, text]}),
        )
    ]
    tidings = telemetry.digest(b"\n".join(wire.to_json(event) for event in told_events), START)
    columns = dict(tidings.columns)
    outcome = {**(tidings.outcome or {}), "reason": "error"}
    known = facts(JobState.STOPPING, **{**TRAINING, **columns, "outcome": outcome, "attempts": (attempt(),)})
    found = [fault for one in tidings.troubles for fault in faults(
        replies.trouble(SAY, known, [ADA], {"code": one.code, "text": one.text}), people=PEOPLE)]  # fmt: skip
    for message in (card.head(SAY, known, [LEA]), replies.ended(SAY, known, [ADA], None, [])):
        found += faults(message, people=PEOPLE)
    for point in tidings.points:
        curve = plots.Curve(name=point.series, steps=[0, 1], values=[1.0, 0.5])
        described = alt.describe(
            SAY, plots.Plot(title=known.title, subtitle="", axis="", series=[curve], total=None, marks=[])
        )
        found += [f"hidden in alt {c!a}" for c in described if not c.isprintable()]
    return found


def _raw_events(text: str, _: Path) -> list[str]:
    telemetry.digest(text.encode("utf-8", "replace"), START)
    return []


def _checkpoint(text: str, folder: Path) -> list[str]:
    saved = checkpoint(None)
    saved.name = text[:200]
    listed = [replies.FileLink(name=text, bytes=1, url=f"{FILES}x?exp=1&sig=2")]
    known = facts(**{**TRAINING, "checkpoints": (saved,)})
    found = []
    for message in (
        replies.ended(SAY, known, [ADA], saved, listed), replies.ended(SAY, known, [ADA], saved, []),
        replies.checkpoint_saved(SAY, known, saved), answers.checkpoints(SAY, known, {saved.name: listed}),
        answers.checkpoints(SAY, known, {}), answers.links(SAY, text, listed, START),
    ):  # fmt: skip
        found += faults(message, people=PEOPLE, links=[FILES])
    manifest = wire.Manifest(name="n", step=1, at=0.0, files=(wire.FileEntry(path=text, size=1, sha256="0" * 64),))
    try:
        paths = [file["path"] for file in telemetry.files(manifest)]
    except ValueError:
        return found
    links = Links(store=FolderStore(folder), secret=b"k" * 32, base=FILES, minutes=60, clock=FakeClock())
    return found + [
        f"no link to {path!a}" for path in paths if not (links.url(f"jobs/j/{path}") or "").startswith(FILES)
    ]


def _log(text: str, folder: Path) -> list[str]:
    store = FolderStore(folder / "log")
    known = facts(attempts=(attempt(),))
    store.put(wire.log_key(known.job.id, 1, 1), gzip.compress(text.encode("utf-8", "replace")))
    message = answers.logs(SAY, known, logbook.read(store, known, None), None)
    return faults(message, people=PEOPLE)


def _provider(text: str, _: Path) -> list[str]:
    data = {"provider": text, "region": text, "instance": text, "text": text, "minutes": 5}
    messages = (
        replies.no_machine(SAY, facts(), [ADA], data, []), replies.overdue(SAY, facts(), [LEA], data), replies.trouble(
            SAY, facts(), [ADA], data), answers.alert(SAY, a_team(name=text[:80]), {"percent": 80, "month": text}),
        budget.frozen(SAY, a_team(frozen=True, name=text[:80]), LEA),
    )  # fmt: skip
    return [fault for message in messages for fault in faults(message, people=PEOPLE)]


MACHINES_SAY = {
    "stage note": _job(lambda text: {"stage": "setup", "stage_note": text}),
    "stage": _job(lambda text: {"stage": text}),
    "note of a machine": _job(
        lambda text: {"attempts": (attempt(AttemptState.LAUNCHED, note=text),)}, JobState.PROVISIONING
    ),
    "region and type": _job(lambda text: {"attempts": (attempt(region=text),)}),
    "error": _job(lambda text: {"error": text, "outcome": {"reason": "error", "code": 1}}, JobState.FAILED),
    "last words": _job(lambda text: {"outcome": {"reason": "error", "code": 1, "tail": [text] * 3}}, JobState.FAILED),
    "reason of a denial": _job(lambda text: {"decided_by": LEA, "decision_note": text}, JobState.DENIED),
    "reason to ask": _job(
        lambda text: {"request": a_request(reason=text[:500]), "needs_lead": ["cost"]}, JobState.AWAITING_APPROVAL
    ),
    "events": _events,
    "raw events": _raw_events,
    "checkpoint": _checkpoint,
    "log": _log,
    "provider": _provider,
}  # fmt: skip


# ------------------------------------------------------------ keys, links, scripts


def _key(text: str, folder: Path) -> list[str]:
    store = FolderStore(folder / "store")
    try:
        store.put(text, b"x")
    except StoreFault:
        return []
    strays = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "store")]
    whole = store.get(text) == b"x"
    store.delete(text)
    return [f"it wrote {stray}" for stray in strays if stray.parent == folder] + ([] if whole else ["it was not kept"])


def _link(text: str, folder: Path) -> list[str]:
    links = Links(store=FolderStore(folder / "store"), secret=b"k" * 32, base=FILES, minutes=60, clock=FakeClock())
    found = []
    for key, expires, signature in ((text, "4000000000", ""), ("jobs/x", text, "0"), ("jobs/x", "4000000000", text)):
        try:
            found.append(f"opened {links.open(key, expires, signature)}")
        except LinkRefused:
            continue
    return found


def _boot(text: str, _: Path) -> list[str]:
    bundle = boot.Bundle(
        env={"X": text}, trainer_url="u", outcome_url="u", spoken_url="u", discard_url="u", boot_urls=[text]
    )
    try:
        packed = boot.pack(bundle)
    except HourglassError:
        return [] if "\0" in text else ["refused"]
    except UnicodeEncodeError:
        return [] if any("\ud800" <= c <= "\udfff" for c in text) else ["not encoded"]
    return [] if packed.endswith(b"\n") else ["half a line"]


INSIDE = {"key of the store": _key, "link to a file": _link, "boot script": _boot}


def places() -> Iterator[Place]:
    """Yield every place."""
    for table in (PEOPLE_TYPE, REPOSITORIES_SAY, MACHINES_SAY, INSIDE):
        for name, put in table.items():
            yield Place(name=name, put=put)


def tried(place: Place, text: str, folder: Path) -> list[str]:
    """Return what went wrong with a string in a place; an error that is none of ours went wrong, too."""
    try:
        return [f"{place.name}: {text[:60]!a}: {fault}" for fault in place.put(text, folder)]
    except Exception as error:  # noqa: BLE001  whatever it is: nothing that somebody writes may be our mistake
        return [f"{place.name}: {text[:60]!a}: {type(error).__name__}: {str(error)[:100]}"]

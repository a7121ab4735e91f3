"""Every view at least once in every state that changes it, built of values alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bot.catalogue import Catalogue
from bot.clues import Clue
from bot.estimate import Place, Verdict
from bot.facts import JobFacts
from bot.logbook import Page
from bot.markup import mention, room
from bot.parse import TOPICS
from bot.verbs import BudgetField
from bot.views import answers, approval, bills, budget, card, fits, lines, manual, modals, replies
from bot.views.blocks import Block, Message
from bot.views.replies import FileLink
from jobs.errors import BadRequest, TooLate
from jobs.gpus import Gpu
from jobs.ledger import Budget
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Checkpoint, Job
from jobs.offers import PriceRow
from jobs.providers import Guarantee
from jobs.records import dump
from jobs.values import DOLLAR
from tests.support.builders import a_request, a_source, a_spec, a_team, an_offer, some_traits
from tests.support.clock import START
from trainer import memory, remedies
from trainer.architectures import named

ADA, LEA = "U1ADA", "U9LEAD"
STAND_IN = "Practice: this computer's CPU stands in for the {gpu}."


@dataclass(frozen=True)
class Scene:
    """A view of something, in whatever language."""

    name: str
    message: Callable[[Catalogue], Message | Block]


def facts(state: JobState = JobState.RUNNING, **changes: Any) -> JobFacts:
    """Return a job's facts; `changes` go to the job where it has such a column, else to the facts."""
    columns: dict[str, Any] = {
        "id": "k7m2pqx",
        "delivery": "d",
        "team_id": "vision",
        "channel": "C1TRAIN",
        "person": ADA,
        "request": {},
        "state": state,
        "version": 3,
        "created_at": START,
        "hold": 12_400_000,
        "rate_ceiling": 3 * DOLLAR,
        "needs_lead": [],
        "notify": [],
    }
    columns |= {name: changes.pop(name) for name in list(changes) if name in Job.model_fields and name != "request"}
    others: dict[str, Any] = {
        "request": a_request(),
        "team": a_team(leads=[LEA]),
        "spec": a_spec(),
        "source": a_source(),
        "offer": an_offer(),
        "attempts": (),
        "checkpoints": (),
        "traits": some_traits(),
        "free": 240 * DOLLAR,
        "now": START + timedelta(minutes=30),
    }
    return JobFacts(job=Job(**columns), **(others | changes))


def attempt(state: AttemptState = AttemptState.UP, **changes: Any) -> Attempt:
    """Return a machine that was launched when the story began."""
    columns: dict[str, Any] = {
        "job_id": "k7m2pqx",
        "number": 1,
        "launch_key": "hg-1",
        "state": state,
        "provider": "cloud",
        "region": "here-1",
        "offer": dump(an_offer()),
        "micros_per_hour": 2 * DOLLAR,
        "deadline": START + timedelta(hours=4),
        "intent_at": START,
        "launched_at": START,
    }
    return Attempt(**(columns | changes))


def checkpoint(step: int | None = 4000, *, files: int = 2) -> Checkpoint:
    """Return a whole checkpoint."""
    listed = [{"path": f"part-{n}.pt", "size": 12_000_000, "sha256": "0" * 64} for n in range(files)]
    return Checkpoint(
        id=step,
        job_id="k7m2pqx",
        attempt=1,
        name=f"step-{step}",
        step=step,
        manifest=f"jobs/k7m2pqx/a1/ckpt/step-{step}/manifest.json",
        files=listed,
        bytes=12_000_000 * files,
        at=START,
    )


def links(count: int = 2, *, url: bool = True) -> list[FileLink]:
    """Return a checkpoint's files."""
    return [
        FileLink(name=f"part-{n}.pt", bytes=12_000_000, url=f"https://h/f{n}?exp=1&sig=2" if url else None)
        for n in range(count)
    ]


BILL: Mapping[str, Any] = {
    "charged": 3_120_000,
    "held": 9_800_000,
    "released": 6_680_000,
    "saved": 5_100_000,
    "disk": 30_000,
    "egress": 210_000,
    "egress_bytes": 2_300_000_000,
}
TRAINING: Mapping[str, Any] = {
    "stage": "run",
    "step": 1800,
    "total": 4000,
    "loss": 1.83,
    "eta_at": START + timedelta(minutes=42),
    "deadline": START + timedelta(hours=4),
    "attempts": (attempt(),),
}
PROVISIONING: Mapping[str, Any] = {"deadline": START + timedelta(hours=4)}


def _cards() -> Iterator[tuple[str, JobFacts]]:
    yield "requested", facts(JobState.REQUESTED, spec=None, source=None, offer=None, traits=None)
    asked = facts(
        JobState.AWAITING_APPROVAL,
        needs_lead=["cost", "budget", "share", "weak"],
        request=a_request(reason="a baseline"),
        traits=some_traits(guarantee=Guarantee.ON_BOX),
    )
    yield "asked", asked
    yield "queued", facts(JobState.QUEUED)
    yield "queued for a retry", facts(JobState.QUEUED, not_before=START + timedelta(hours=1))
    yield "intent", facts(JobState.PROVISIONING, **PROVISIONING, attempts=(attempt(AttemptState.INTENT),))
    fetching = attempt(AttemptState.LAUNCHED, note="fetching")
    yield "fetching", facts(JobState.PROVISIONING, **PROVISIONING, attempts=(fetching,))
    starting = attempt(AttemptState.LAUNCHED)
    yield "starting", facts(JobState.PROVISIONING, **PROVISIONING, attempts=(starting,))
    for stage, note in (("boot", ""), ("engine", ""), ("image", "2/9"), ("container", "")):
        boots = {**PROVISIONING, "stage": stage, "stage_note": note, "stage_at": START + timedelta(minutes=1)}
        yield f"boots, {stage}", facts(JobState.PROVISIONING, **boots, attempts=(starting,))
    for stage in ("source", "setup", "check", "run", "save", "done", ""):
        yield f"stage {stage}", facts(**{**TRAINING, "stage": stage, "stage_note": "1/2"})
    yield "training", facts(**TRAINING, checkpoints=(checkpoint(),))
    quiet = {"pace": 2.0, "step_gap": 10.0, "heard_at": START + timedelta(minutes=30), "said_at": START}
    yield "quiet", facts(**TRAINING, **quiet, stepped_at=START - timedelta(minutes=9), checkpoints=(checkpoint(),))
    yield "approved", facts(**TRAINING, decided_by=LEA, decided_at=START)
    yield "moved guarantee", facts(**TRAINING, traits=some_traits(guarantee=Guarantee.EXTERNAL, extendable=False))
    yield "no guarantee", facts(**TRAINING, traits=some_traits(guarantee=Guarantee.NONE))
    yield "practice", facts(**TRAINING, traits=some_traits(stand_in=STAND_IN, bills=False))
    yield "stopping", facts(JobState.STOPPING, **TRAINING, stop_reason="stopped", stop_by=ADA)
    outcome = {"reason": "finished", "code": 0}
    yield "ending", facts(JobState.STOPPING, **TRAINING, stop_reason="finished", outcome=outcome)
    ended = {**TRAINING, "finished_at": START + timedelta(hours=1), "charged": 6_120_000}
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT):
        yield str(state), facts(state, **ended, outcome=outcome, checkpoints=(checkpoint(None),), error="")
    yield "denied", facts(JobState.DENIED, decided_by=LEA, decided_at=START, decision_note="no")
    yield "expired", facts(JobState.EXPIRED)
    yield "withdrawn", facts(JobState.CANCELLED, stop_reason="stopped", stop_by=ADA)
    for reason in (
        "error", "oom", "gpu_oom", "deadline", "stopped", "idle_gpu", "diverged", "no_gpu", "setup_failed",
        "bad_source", "bad_spec", "bad_image", "no_capacity", "launch_failed", "lost", "left_behind", "preempted",
        "refused", "no_channel", "internal",
    ):  # fmt: skip
        yield f"failed {reason}", facts(JobState.FAILED, **ended, outcome={"reason": reason, "code": 1})
    yield "failed by signal", facts(JobState.FAILED, **ended, outcome={"reason": "error", "code": None})


def _month(**changes: Any) -> Budget:
    fields: dict[str, Any] = {
        "month": "2026-11",
        "cap": 300 * DOLLAR,
        "granted": 20 * DOLLAR,
        "held": 12 * DOLLAR,
        "spent": 90 * DOLLAR,
        "by_person": [(ADA, 102 * DOLLAR)],
        "by_job": [("k7m2pqx", 12 * DOLLAR, 0), ("b2c3d4f", 0, 90 * DOLLAR)],
    }
    return Budget(**(fields | changes))


def verdict(model: str, room: int | None, *, places: Any = None, found: Any = None, **recipe: Any) -> Verdict:
    """Return what is said of a model in `room` GiB, of no GPU in particular where that is None."""
    shape, how = named(model), memory.Recipe(**recipe)
    needs, size = memory.estimate(shape, how), (room or 0) * memory.GIB
    row = PriceRow(offer=an_offer(), micros_per_gpu=DOLLAR, configured=True, source="")
    there = [Place(row=row, needed=needs.total, room=size, sharded=sharded) for sharded in (False, True)]
    read = Clue(value="<!channel>`8", spelling="--layers", place="train.py")
    return Verdict(
        shape=shape,
        recipe=how,
        estimate=needs,
        gpu=None if room is None else Gpu(name="l4", memory_gb=24, count=how.gpus),
        room=size,
        largest_batch=64,
        ladder=remedies.ladder(shape, how, size) if room else (),
        sharded=remedies.sharded(shape, how, size) if room else None,
        places=there if places is None else places,
        source=a_source(),
        found=[read] * 20 if found is None else found,
        assumed=["The layers are taken to be like GPT-2's, the feed-forward half 4 times wide."],
        unsaid=["batch", "seq"],
    )


def _scenes() -> Iterator[Scene]:
    for name, shown in _cards():
        yield Scene(f"card {name}", lambda say, shown=shown: card.head(say, shown, [LEA]))  # type: ignore[misc]
        yield Scene(f"copy {name}", lambda say, shown=shown: approval.copy(say, shown))  # type: ignore[misc]
    run = facts(**TRAINING)
    over = facts(JobState.STOPPING, **TRAINING, outcome={"reason": "error", "code": 1, "tail": ["boom"]}, error="Boo.")
    pair = replace(facts(JobState.AWAITING_APPROVAL), spec=a_spec(nodes=2))
    yield Scene("card of two machines", lambda say: card.head(say, pair, [LEA]))
    yield Scene("copy of two machines", lambda say: approval.copy(say, pair))
    yield Scene("card moved", lambda say: card.head(say, run, [], moved=True))
    yield Scene("card without leads", lambda say: card.head(say, facts(JobState.AWAITING_APPROVAL), []))
    yield Scene("end", lambda say: replies.ended(say, over, [ADA, "U2BOB"], checkpoint(), links()))
    yield Scene("end of many files", lambda say: replies.ended(say, over, [ADA], checkpoint(files=40), links(40)))
    yield Scene("end by button", lambda say: replies.ended(say, over, [ADA], checkpoint(None), links(url=False)))
    yield Scene("end without checkpoint", lambda say: replies.ended(say, over, [ADA], None, []))
    settled = facts(JobState.SUCCEEDED, **TRAINING, charged=DOLLAR, outcome={"reason": "finished"})
    yield Scene("end settled", lambda say: replies.ended(say, settled, [ADA], None, []))
    never = facts(JobState.FAILED, stop_reason="no_capacity", error="Full.")
    yield Scene("end of nothing", lambda say: replies.ended(say, never, [ADA], None, []))
    full = {"text": "Full."}
    yield Scene("no machine yet", lambda say: replies.no_machine(say, facts(JobState.QUEUED), [ADA], full, []))
    yield Scene("checkpoint", lambda say: replies.checkpoint_saved(say, run, checkpoint()))
    yield Scene("checkpoint without step", lambda say: replies.checkpoint_saved(say, run, checkpoint(None)))
    yield Scene("warning", lambda say: replies.warning(say, run, {30: "$1.50", 60: "$3.00", 120: "$6.00"}))
    fixed = facts(**TRAINING, traits=some_traits(extendable=False))
    yield Scene("warning fixed", lambda say: replies.warning(say, fixed, {}))
    yield Scene("warning over", lambda say: replies.warned(say, over))
    yield Scene("trouble", lambda say: replies.trouble(say, run, [ADA], {"text": "NaN"}))
    nan = {"code": "nan", "text": "NaN"}
    yield Scene(
        "trouble with one of several", lambda say: replies.trouble(say, run, [ADA], {"text": "NaN", "machine": 2})
    )
    unread = {"code": "unread", "text": "a <1>", "template": "a <{loss}>"}
    yield Scene("hint", lambda say: replies.hint(say, run, unread))
    yield from _described(run)
    yield Scene("trouble that costs", lambda say: replies.trouble(say, run, [ADA], nan, burning=True))
    yield Scene("reclaimed", lambda say: replies.reclaimed(say, run))
    unnumbered = facts(**TRAINING, checkpoints=[checkpoint(None)])
    yield Scene("reclaimed without a step", lambda say: replies.reclaimed(say, unnumbered))
    unsaved = facts(**TRAINING, checkpoints=[])
    yield Scene("reclaimed without a checkpoint", lambda say: replies.reclaimed(say, unsaved))
    half = checkpoint(400)
    half.files = [{**file, "unproven": True} for file in half.files]
    doubtful = facts(**TRAINING, checkpoints=[half])
    yield Scene("reclaimed with half a checkpoint", lambda say: replies.reclaimed(say, doubtful))
    again = facts(**TRAINING, checkpoints=[], inherits=True)
    yield Scene("reclaimed where it had gone on", lambda say: replies.reclaimed(say, again))
    yield Scene("extended", lambda say: replies.extended(say, run, ADA))
    late = {"provider": "cloud", "instance": "i-1", "minutes": 6}
    yield Scene("overdue", lambda say: replies.overdue(say, run, [LEA], late))
    yield Scene("overdue without leads", lambda say: replies.overdue(say, run, [], late))
    last = {"provider": "cloud", "billed_until": (START + timedelta(hours=5)).timestamp()}
    yield Scene("overdue and gone", lambda say: replies.at_last(say, run, [LEA], last))
    yield Scene("overdue and gone without leads", lambda say: replies.at_last(say, run, [], last))
    yield Scene("overrun", lambda say: replies.overrun(say, run, [LEA], DOLLAR))
    yield Scene("bill", lambda say: bills.settled(say, BILL))
    yield Scene("bill of a failed meter", lambda say: bills.settled(say, {**BILL, "unmetered": 1, "released": 0}))
    yield Scene("bill over its hold", lambda say: bills.settled(say, {**BILL, "overrun": 1, "free": 1}))
    yield Scene("plot failed", lambda say: replies.plot_failed(say, run, 1.8, 1800))
    yield Scene("plot failed early", lambda say: replies.plot_failed(say, run, None, None))
    yield Scene("unreachable", lambda say: replies.unreachable(say, run, room("C1TRAIN"), replies.reclaimed(say, run)))
    waits = facts(JobState.AWAITING_APPROVAL, asked_at=START)
    yield Scene("asked", lambda say: approval.asked(say, waits, 180.0, 11_970_000))
    yield Scene("asked for nothing less", lambda say: approval.asked(say, waits, None, None))
    yield Scene("reminder", lambda say: approval.reminder(say, waits, [LEA]))
    yield Scene("reminder to nobody", lambda say: approval.reminder(say, waits, []))
    yield Scene("expired", lambda say: approval.expired(say, waits))
    no = facts(JobState.DENIED, decided_by=LEA, decided_at=START, decision_note="no")
    yield Scene("denied", lambda say: approval.denied(say, no))
    yield Scene("granted", lambda say: approval.granted(say, facts(JobState.QUEUED, decided_by=LEA, decided_at=START)))
    yield from _answers(run)


def _described(run: JobFacts) -> Iterator[Scene]:
    told, nothing = (3, {"loss": 0.25}), (None, {})
    so = replace(run, spec=a_spec(progress=("a <{loss}>",)))
    yield Scene("lines", lambda say: lines.shown(say, run))
    yield Scene("lines as described", lambda say: lines.shown(say, so))
    yield Scene("lines described now", lambda say: lines.described(say, so, ["a <{loss}>"], 40, 2, told))
    yield Scene("lines that count nothing", lambda say: lines.described(say, so, ["a <{}>"], 40, 2, nothing))
    yield Scene("lines that do not fit", lambda say: lines.described(say, so, ["a <{loss}>"], 40, 0, nothing))
    yield Scene("lines of nothing yet", lambda say: lines.described(say, so, ["a <{loss}>"], 0, 0, nothing))
    yield Scene("lines described no more", lambda say: lines.described(say, run, (), 40, 0, nothing))


def _answers(run: JobFacts) -> Iterator[Scene]:
    bad = BadRequest("`x`?", fix="/train acme/vit@main")
    yield Scene("bad request", lambda say: answers.failure(say, bad))
    yield Scene("too late", lambda say: answers.failure(say, TooLate("2 PM")))
    yield Scene("not written", lambda say: answers.not_written(say, "/train x"))
    yield Scene("broken", lambda say: answers.broken(say, "0a1b2c3d"))
    yield Scene("accepted", lambda say: answers.accepted(say, "acme/vit@main", "k7m2pqx", again=False))
    yield Scene("accepted again", lambda say: answers.accepted(say, "acme/vit@main", "k7m2pqx", again=True))
    yield Scene("stopping", lambda say: answers.stopping(say, facts(JobState.STOPPING, **TRAINING)))
    yield Scene("jobs", lambda say: answers.jobs(say, [run] * 30, "vision", mine=True))
    yield Scene("jobs of all", lambda say: answers.jobs(say, [run], "vision", mine=False))
    yield Scene("no jobs", lambda say: answers.jobs(say, [], "vision", mine=False))
    yield Scene("no jobs of mine", lambda say: answers.jobs(say, [], "vision", mine=True))
    rows = [
        PriceRow(
            offer=an_offer(name=f"gpu-{n}x-a100-with-a-long-name", gpus=8, spot=n % 2 == 0),
            micros_per_gpu=DOLLAR,
            configured=n == 1,
            source="",
            saves=62 if n % 4 == 0 else None,
        )
        for n in range(60)
    ]
    yield Scene("prices", lambda say: answers.prices(say, rows, START))
    yield Scene("no prices", lambda say: answers.prices(say, [], START))
    yield Scene("needs", lambda say: fits.fits(say, verdict("gpt2", None)))
    yield Scene("fits", lambda say: fits.fits(say, verdict("vit-l", 22, optimizer=memory.Optimizer.ADAMW_8BIT)))
    yield Scene("fits not", lambda say: fits.fits(say, verdict("7b", 22, flash=False, micro_batch=8)))
    yield Scene("fits nowhere", lambda say: fits.fits(say, verdict("70b", 14, gpus=8, places=[], found=[])))
    yield Scene("logs", lambda say: answers.logs(say, run, Page(lines=["<" * 300] * 100), None))
    yield Scene("no logs", lambda say: answers.logs(say, run, Page(), None))
    said = Page(lines=["x"], attempt=1)
    yield Scene("logs by link", lambda say: answers.logs(say, run, said, None, whole="https://bot/logs/x"))
    yield Scene("logs by button", lambda say: answers.logs(say, run, said, None, fetch="k7m2pqx 1 0"))
    two = facts(attempts=(attempt(number=1), attempt(number=2)))
    yield Scene("older logs", lambda say: answers.logs(say, two, said, "x"))
    part = Page(whole=False, looked=10**9)
    yield Scene("no such line of late", lambda say: answers.logs(say, run, part, "NaN"))
    yield Scene("some lines of late", lambda say: answers.logs(say, run, replace(part, lines=["x"]), "NaN"))
    yield Scene("no such line", lambda say: answers.logs(say, run, Page(), "NaN"))
    several = replace(run, checkpoints=[checkpoint(n) for n in range(12)])
    yield Scene("checkpoints", lambda say: answers.checkpoints(say, several, {"step-3": links()}))
    yield Scene("no checkpoints", lambda say: answers.checkpoints(say, run, {}))
    yield Scene("links", lambda say: answers.links(say, "step-4000", links(60), START))
    alarm = {"percent": 80, "month": "2026-11", "held": DOLLAR, "spent": DOLLAR, "cap": 2 * DOLLAR, "granted": 0}
    yield Scene("alert", lambda say: answers.alert(say, a_team(), alarm))
    for topic in (None, *TOPICS, "nothing"):
        yield Scene("budget help", manual.budget)
        yield Scene(f"help {topic}", lambda say, topic=topic: manual.manual(say, topic))  # type: ignore[misc]
    longer = facts(**TRAINING)
    yield Scene("longer", lambda say: answers.extended(say, longer))
    yield Scene("longer later", lambda say: answers.extended(say, facts(JobState.QUEUED)))
    yield Scene("month", lambda say: budget.month(say, a_team(), _month(), [LEA]))
    yield Scene("month frozen", lambda say: budget.month(say, a_team(frozen=True), _month(by_job=[]), []))
    yield Scene("month unset", lambda say: budget.month(say, a_team(cap=None), _month(cap=None, granted=0), []))
    yield Scene("frozen", lambda say: budget.frozen(say, a_team(frozen=True), LEA))
    yield Scene("thawed", lambda say: budget.frozen(say, a_team(), LEA))
    for field in BudgetField:
        yield Scene(f"set {field}", lambda say, field=field: budget.changed(say, a_team(leads=[LEA]), field, LEA))  # type: ignore[misc]
    asked = facts(JobState.AWAITING_APPROVAL)
    yield Scene("form loading", lambda say: modals.loading(say, "deny"))
    yield Scene("form sorry", lambda say: modals.sorry(say, mention(LEA)))
    yield Scene("form deny", lambda say: modals.deny(say, asked))
    yield Scene("form shorter", lambda say: modals.shorter(say, asked, {60.0: DOLLAR, 30.0: DOLLAR}))
    yield Scene("form nothing shorter", lambda say: modals.shorter(say, asked, {}))
    yield Scene("form lines", lambda say: lines.form(say, run, ["a <{loss}>"], ["begins", "a <1.5>"]))
    yield Scene("form lines of nothing yet", lambda say: lines.form(say, run, [], []))
    yield Scene("form extend", lambda say: modals.extend(say, run, {30: "$1.50", 60: "$3.00"}))


SCENES = list(_scenes())


def texts(shown: Message | Block) -> list[str]:
    """Return every text of a message or a modal."""

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "text" and isinstance(inner, str):
                    yield inner
                else:
                    yield from walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from walk(inner)

    if isinstance(shown, Message):
        return [shown.text, *walk(list(shown.blocks))]
    return list(walk(shown))

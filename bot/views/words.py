"""States, reasons, guarantees and needs of a job in words, each said in one place."""

from __future__ import annotations

from bot.catalogue import Catalogue, later
from bot.facts import JobFacts
from bot.markup import Markup, clock, code, dollars, escape, mention, number, output, short, span
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt
from jobs.providers import Guarantee

_STAGES = {
    "source": later("unpacking the commit"),
    "inputs": later("fetching its inputs"),
    "setup": later("running the setup"),
    "check": later("looking at the GPU"),
    "join": later("waiting for the other machines"),
    "run": later("training"),
    "save": later("saving the last checkpoint"),
    "done": later("finishing"),
}
# Until the agent speaks: `jobs.bootlog`.
_BOOTS = {
    "boot": later("the machine boots"),
    "engine": later("waiting for the machine's container engine"),
    "image": later("the machine fetches the image"),
    "container": later("the container starts"),
}
_NOTED = ("setup", "check", "run", "inputs")  # stages whose note people read

# How a job ended, as the end of "… ended:"; {code} is the exit code, {by} whoever pressed Stop.
_ENDS = {
    "finished": later("done"),
    "error": later("failed: the command exited with code {code}"),
    "oom": later("failed: the machine ran out of memory"),
    "gpu_oom": later("failed: the GPU ran out of memory"),
    "deadline": later("stopped at the deadline"),
    "stopped": later("stopped by {by}"),
    "idle_gpu": later("stopped: the GPU stood idle"),
    "diverged": later("stopped: the loss diverged"),
    "no_gpu": later("failed: the GPU that was paid for is not there"),
    "setup_failed": later("failed: the setup exited with code {code}"),
    "bad_source": later("failed: the commit could not be used"),
    "bad_spec": later("failed: the task file or the command could not be used"),
    "bad_image": later("failed: the image could not be used"),
    "no_capacity": later("failed: no machine of that kind was free"),
    "launch_failed": later("failed: the machine did not come up"),
    "unsecured": later("stopped: its provider would not keep a timer that ends the machine"),
    "lost": later("failed: the machine went away without a word"),
    "left_behind": later("failed: one machine had left the training, and another went on without it"),
    "preempted": later("ended: the provider took the machine back"),
    "refused": later("refused"),
    "no_channel": later("failed: the channel could not be posted to"),
    "internal": later("failed inside Hourglass; the operator's log has the details"),
}

_GUARANTEES = {
    Guarantee.NATIVE: later(
        "The provider ({provider}) ends the machine at the deadline, even if everything of ours is down."
    ),
    Guarantee.EXTERNAL: later("A timer at {provider} ends the machine at the deadline, even if the bot is down."),
    Guarantee.ON_BOX: later(
        "Weak guarantee: at {provider} a timer on the machine and the bot end it. If both fail, it goes on billing."
    ),
    Guarantee.NONE: later("Weak guarantee: at {provider} only the bot and its reaper end the machine."),
}

NEEDS = {
    "cost": later("it can cost up to {hold}; only what stays under {limit} starts without a lead"),
    "budget": later("it does not fit into the {free} that are free this month"),
    "share": later("it goes over {person}'s share of the month"),
    "weak": later("the provider's guarantee to end it in time is weak"),
}


def ending(say: Catalogue, facts: JobFacts) -> Markup:
    """Say how the training ended: "done", "stopped by @lea", "failed: …"."""
    job = facts.job
    outcome = job.outcome or {}
    reason = str(outcome.get("reason") or job.stop_reason or "internal")
    by = mention(job.stop_by) if job.stop_by else say("the system")
    exit_code = outcome.get("code")
    if reason == "error" and exit_code is None:
        return say("failed: the command was ended by a signal")
    return say(_ENDS.get(reason, _ENDS["internal"]), code="?" if exit_code is None else exit_code, by=by)


def standing(say: Catalogue, facts: JobFacts) -> Markup:
    """Say where the job stands now, in lower case, without a stop."""
    job = facts.job
    match job.state:
        case JobState.REQUESTED:
            return say("looking up the commit and the price")
        case JobState.AWAITING_APPROVAL:
            return say("waiting for a lead")
        case JobState.QUEUED if job.not_before is not None and job.not_before > facts.now:
            return say("no machine yet; the next try is at {time}", time=clock(job.not_before))
        case JobState.QUEUED:
            return say("next in line for a machine")
        case JobState.DENIED:
            return say("denied by {by}: {reason}", by=mention(job.decided_by or ""), reason=job.decision_note)
        case JobState.EXPIRED:
            return say("expired: nobody decided in time")
        case JobState.CANCELLED if job.outcome is None and not facts.attempts:
            return say("withdrawn by {by} before it started", by=mention(job.stop_by or job.person))
        case JobState.PROVISIONING:
            return _starting(say, facts)
        case JobState.RUNNING:
            return _stage(say, facts)
        case JobState.STOPPING if job.outcome is None:
            return _stage(say, facts) if job.stage == "save" else say("asked to save and stop")
        case JobState.STOPPING:
            return say("{ended}; the machine is being ended", ended=ending(say, facts))
        case _:
            return ending(say, facts)


def _starting(say: Catalogue, facts: JobFacts) -> Markup:
    live = facts.live
    if live is None or live.state is AttemptState.INTENT:
        return say("asking {provider} for a machine", provider=live.provider if live else "")
    doing = escape(short(live.note, 80)) if live.note else _booting(say, facts, live)
    if facts.billed_since is None or facts.traits is None or not facts.traits.bills:
        return doing
    return say("{doing}, billed since {time}", doing=doing, time=clock(facts.billed_since))


def _booting(say: Catalogue, facts: JobFacts, live: Attempt) -> Markup:
    """Say how far the machine is by its boot log, where that is this machine's."""
    job = facts.job
    if job.stage not in _BOOTS or job.stage_at is None or job.stage_at < live.intent_at:
        return say("the machine is starting")
    done, _, layers = job.stage_note.partition("/")
    if not layers:
        return say(_BOOTS[job.stage])
    return say("{doing}, {done} of {layers} layers", doing=say(_BOOTS[job.stage]), done=done, layers=layers)


def _stage(say: Catalogue, facts: JobFacts) -> Markup:
    name = facts.job.stage
    doing = say(_STAGES[name]) if name in _STAGES else escape(short(name, 40)) if name else say("the machine is up")
    note = "" if name == "run" and facts.resumed else short(facts.job.stage_note, 80)  # the card has it in words
    return say("{doing} ({note})", doing=doing, note=note) if note and name in _NOTED else doing


def went_on(say: Catalogue, facts: JobFacts) -> list[Markup]:
    """Say from where the newest attempt went on, if it did."""
    if facts.resumed is None:
        return []
    step, name = facts.resumed.get("step"), short(str(facts.resumed.get("name", "")), 60)
    if step is None:
        return [say("went on from {name}", name=name)]
    return [say("went on from step {step}", step=f"{step:,}")]


def progress(say: Catalogue, facts: JobFacts) -> list[Markup]:
    """Say what the training has reached: step and loss, as far as they are known."""
    job = facts.job
    parts: list[Markup] = []
    if job.step is not None:
        total = f"{job.total:,}" if job.total else ""
        parts.append(
            say("step {step} of {total}", step=f"{job.step:,}", total=total)
            if total
            else say("step {step}", step=f"{job.step:,}")
        )
    if job.loss is not None:
        parts.append(say("loss {loss}", loss=number(job.loss)))
    return parts


def pace(say: Catalogue, facts: JobFacts) -> list[Markup]:
    """Say how fast it goes, where that could be measured: in steps a second, or how long a slow one takes."""
    fast = facts.job.pace
    if not fast:
        return []
    if fast >= 1:
        return [say("{n} steps a second", n=f"{fast:,.3g}" if fast < 100 else f"{fast:,.0f}")]
    seconds = 1 / fast
    return [say("{span} a step", span=f"{seconds:.2g} s" if seconds < 10 else span(seconds / 60))]


def guarantee(say: Catalogue, facts: JobFacts) -> Markup | None:
    """Say who ends the machine when everything of ours is dead; the stand-in's own sentence where it is one."""
    traits = facts.traits
    if traits is None:
        return None
    if traits.stand_in:
        return escape(traits.stand_in.replace("{gpu}", facts.spec.gpu.upper() if facts.spec else "GPU"))
    return say(_GUARANTEES[traits.guarantee], provider=traits.name)


def needs(say: Catalogue, facts: JobFacts) -> list[Markup]:
    """Say why a lead has to decide."""
    known = {
        "hold": dollars(facts.job.hold, up=True),
        "limit": dollars(facts.team.auto_approve),
        "free": dollars(facts.free or 0),
        "person": mention(facts.job.person),
    }
    return [say(NEEDS.get(why, why), **known) for why in facts.job.needs_lead]


def tail(facts: JobFacts, lines: int = 12) -> str | None:
    """Return the last lines of output, where the outcome has them."""
    said = (facts.job.outcome or {}).get("tail")
    if not isinstance(said, list) or not said:
        return None
    return "\n".join(output(str(line), 160) for line in said[-lines:])


def name(facts: JobFacts) -> Markup:
    """Return the job's id as people type it."""
    return code(facts.job.id)

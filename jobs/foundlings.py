"""Machines of this home, matched with the rows that were rebuilt; those without any get rows from their own tags.

Tags say whose machine it is, when it ends and what is held for it; not who asked, nor what it runs. That is enough to
end it in its time and to pay for it. Its rate is taken to be what its hold pays for, to the last hour.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, select

from jobs import db, orders, policy
from jobs.endings import LIVE
from jobs.lifecycle import TERMINAL, AttemptEventName, AttemptState, JobState
from jobs.model import Attempt, Channel, Entry, EntryKind, Job, NoteKind
from jobs.providers import Instance, Offer, Traits
from jobs.records import dump, parse
from jobs.restoring import Months, Report
from jobs.values import JobSpec, Request, SpotPolicy

_HOUR = timedelta(hours=1)
LOST = "unknown"  # in place of what only the lost rows knew
REBUILT = "Only its machine's tags were left of this job: who asked for it and what it runs is not known any more."


def match(
    tx: Session,
    machines: Sequence[Instance],
    months: Months,
    report: Report,
    *,
    traits: Mapping[str, Traits],
    now: datetime,
) -> None:
    """Give every machine its row. `traits` are those of the configured providers."""
    strangers: defaultdict[str, list[Instance]] = defaultdict(list)
    for machine in machines:
        row = tx.exec(select(Attempt).where(Attempt.launch_key == machine.tags.get("key", ""))).first()
        job = db.find_job(tx, machine.tags.get("job", ""))
        if row is not None and job is not None:
            if row.state in LIVE:
                _stands(tx, job, row, machine, traits.get(row.provider), now)
                report.standing.append(_name(machine))
            else:
                report.left.append(_name(machine))
        elif job is None and _tagged(machine):
            strangers[machine.tags["job"]].append(machine)
        else:
            report.left.append(_name(machine))  # the bot adopts it by its job's row, or ends it in its time
    for job_id, of_job in strangers.items():
        _from_tags(tx, job_id, of_job, months, now)
        report.from_tags.append(job_id)
        report.standing += [_name(machine) for machine in of_job]


def _name(machine: Instance) -> str:
    return f"{machine.provider}/{machine.id}"


def _tagged(machine: Instance) -> bool:
    number = orders.tagged_number(machine, "attempt") or 0
    named = all(machine.tags.get(name) for name in ("job", "team", "key"))
    return named and number >= 1 and orders.tagged_deadline(machine) is not None


# ---------------------------------------------------------------- a machine with a row


def _stands(tx: Session, job: Job, row: Attempt, machine: Instance, traits: Traits | None, now: datetime) -> None:
    if row.state is AttemptState.INTENT:
        since = min(now, max(machine.launched_at or now, row.intent_at))
        db.move_attempt(
            tx,
            row,
            AttemptEventName.LAUNCHED,
            now,
            launched_at=since,
            instance_id=machine.id,
            region=machine.region,
        )
        data = {"provider": row.provider, "instance": machine.id, "region": machine.region}
        key = f"{job.id}:a{row.number}:r{row.rank}:adopted"
        db.note_on(tx, job, NoteKind.ADOPTED, now, data=data, key=key)
    tagged = orders.tagged_deadline(machine)
    if tagged is not None and job.state not in TERMINAL:
        _lasts_longer(tx, job, row, tagged, traits, now)


def _lasts_longer(tx: Session, job: Job, row: Attempt, tagged: datetime, traits: Traits | None, now: datetime) -> None:
    """Take over an extension of which the provider was told and the rows know nothing, or half.

    Whether its last commit was made is not known: ending what people were promised would be the worse mistake, and
    what the longer rental may cost is held.
    """
    second = timedelta(seconds=1)  # a tag has no fractions
    if tagged - row.deadline >= second:
        db.touch_attempt(tx, row, now, deadline=tagged)
    if job.deadline is None or row.number != job.attempt or tagged - job.deadline < second:
        return
    spec = parse(JobSpec, job.spec or {})
    more = (tagged - job.deadline) / timedelta(minutes=1)
    longer = dataclasses.replace(spec, minutes=spec.minutes + more)
    owed = 0
    if traits is not None:
        unbounded = dataclasses.replace(longer, max_cost=None)
        owed = policy.hold_of(unbounded, ceiling=job.rate_ceiling or 0, traits=[traits]) - job.hold
    if owed > 0 and job.period_id is not None:
        _hold(tx, job, owed, f"{job.id}:recovered:{int(tagged.timestamp())}", now)
    db.touch(tx, job, now, deadline=tagged, spec=dump(longer), hold=job.hold + max(owed, 0), warned=False)


def _hold(tx: Session, job: Job, micros: int, key: str, now: datetime) -> None:
    values = {
        "key": key,
        "period_id": job.period_id,
        "job_id": job.id,
        "person": job.person,
        "kind": EntryKind.HOLD,
        "micros": micros,
        "at": now,
        "note": "",
    }
    db.insert_once(tx, Entry, values)


# ---------------------------------------------------------------- machines of which only the tags are left


def _from_tags(tx: Session, job_id: str, machines: Sequence[Instance], months: Months, now: datetime) -> None:
    newest = max(machines, key=lambda machine: orders.tagged_number(machine, "attempt") or 0)
    since = min(now, *(machine.launched_at or now for machine in machines))
    deadline = max(orders.tagged_deadline(machine) or now for machine in machines)
    hold = max(orders.tagged_number(newest, "hold") or 0, 0)
    team = months.team(newest.tags["team"])
    rate = int(hold * _HOUR / (max(deadline - since, timedelta(minutes=1)) * len(machines)))
    channel = tx.exec(select(Channel.id).where(Channel.team_id == team.id).order_by(Channel.id)).first() or ""
    request = Request(delivery=f"recovered:{job_id}", channel=channel, person="", repo=LOST, ref=None)
    job = Job(
        id=job_id,
        delivery=request.delivery,
        team_id=team.id,
        channel=channel,
        person="",
        request=dump(request),
        state=JobState.PROVISIONING,
        created_at=since,
        spec=dump(_spec((deadline - since) / timedelta(minutes=1), nodes=len(machines))),
        rate_ceiling=rate,
        hold=hold,
        period_id=months.number(team.id, db.month_of(team.zone, since)),
        attempt=orders.tagged_number(newest, "attempt") or 1,
        deadline=deadline,
        error=REBUILT,
    )
    tx.add(job)
    tx.flush()
    _hold(tx, job, hold, f"{job_id}:hold:1", now)
    for machine in machines:
        tx.add(_attempt(machine, rate, now))
    tx.flush()


def _attempt(machine: Instance, rate: int, now: datetime) -> Attempt:
    since = min(now, machine.launched_at or now)
    offer = Offer(
        provider=machine.provider,
        name=LOST,
        region=machine.region,
        gpu=LOST,
        memory_gb=0,
        gpus=1,
        micros_per_hour=rate,
        spot=False,
        priced_at=since,
    )
    return Attempt(
        job_id=machine.tags["job"],
        number=orders.tagged_number(machine, "attempt") or 1,
        rank=orders.tagged_number(machine, "rank") or 0,
        launch_key=machine.tags["key"],
        state=AttemptState.LAUNCHED,
        provider=machine.provider,
        offer=dump(offer),
        micros_per_hour=rate,
        deadline=orders.tagged_deadline(machine) or now,
        instance_id=machine.id,
        region=machine.region,
        intent_at=since,
        called_at=since,
        launched_at=since,
    )


def _spec(minutes: float, *, nodes: int) -> JobSpec:
    return JobSpec(
        gpu=LOST,
        gpu_memory_gb=None,
        gpus=1,
        nodes=nodes,
        minutes=minutes,
        image=None,
        registry_auth=None,
        setup=(),
        commands=(),
        argv=(),
        env={},
        secrets=(),
        disk_gb=0,
        shm_gb=0,
        providers=(),
        spot=SpotPolicy.AUTO,
        max_price=None,
        max_cost=None,
        retry_on=(),
        checkpoint_path="out",
        checkpoint_every=600.0,
        checkpoint_keep=3,
        min_gpu_utilization=None,
        utilization_window=None,
    )

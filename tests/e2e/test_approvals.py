"""Who decides, as people meet it: the card, the lead's direct message, the forms, and every press that is refused.

All stories share one deployment; each leaves the rules of the budget as it found them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from bot.markup import dollars
from jobs.lifecycle import JobState
from jobs.model import EntryKind, Job
from jobs.values import DOLLAR
from tests.e2e.deployment import Deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("approvals")]

QUICK = "print('step 1/1: loss 0.5', flush=True)"
WAITS = "import time\nprint('step 1/9: loss 0.5', flush=True)\ntime.sleep(600)\n"
DEAR = "gpu=h100 hours=12"  # more than the $20 that start without a lead


@pytest.fixture(autouse=True)
def balanced(deployment: Deployment) -> Iterator[None]:
    """Check after each story that no machine stands and nothing is held."""
    yield
    assert deployment.machines() == []
    assert deployment.held() == 0


def asked(deployment: Deployment, name: str, line: str = DEAR) -> Job:
    """Type a line that a lead has to decide about, and wait until both copies ask."""
    job = deployment.train(f"{deployment.script(f'acme/{name}', QUICK)} {line}")
    deployment.until(lambda: deployment.job(job.id).state is JobState.AWAITING_APPROVAL)
    deployment.until(lambda: "'approve'" in copy(deployment, job))
    deployment.until(lambda: "'approve'" in str(deployment.card(job)["blocks"]))
    return deployment.job(job.id)


def copies(deployment: Deployment, job: Job) -> list[dict[str, object]]:
    """Return the lead's own copies of a job's approval."""
    return [message for message in deployment.people.dms("lea") if job.id in str(message.get("blocks"))]


def copy(deployment: Deployment, job: Job) -> str:
    """Return what the lead's copy says."""
    return "\n".join(f"{one['text']} {one['blocks']}" for one in copies(deployment, job))


def press_own_copy(deployment: Deployment, job: Job, action: str) -> None:
    """Let the lead press a button of the direct message."""
    (one,) = copies(deployment, job)
    assert deployment.people.press("lea", "@hourglass", str(one["ts"]), action).ok


def lead(deployment: Deployment, line: str) -> str:
    """Let the lead type a `/budget` and return the answer."""
    outcome = deployment.type("lea", line)
    assert outcome.ok
    return str((outcome.reply or {})["text"])


def test_one_press_in_the_direct_message_starts_the_job_and_updates_every_copy(deployment: Deployment) -> None:
    job = asked(deployment, "approved")
    card, lea = deployment.texts(job), deployment.people.user_id("lea")
    assert f"<@{lea}>: please decide" in card
    assert "$20.00" in card
    assert "needs nobody: `hours=10`" in deployment.until(
        lambda: seen if "needs nobody" in (seen := deployment.texts(job)) else None
    )
    assert job.hold == deployment.held() > 20_000_000

    for who in ("ada", "tam"):
        outcome = deployment.press(who, job, "approve")
        assert outcome.ok
        deployment.until(lambda who=who: "Only a lead" in deployment.whispers(who, job.channel))  # type: ignore[misc]
    teammates = outcome.delivery_id
    assert deployment.job(job.id).state is JobState.AWAITING_APPROVAL

    press_own_copy(deployment, job, "approve")
    assert deployment.ended(job).state is JobState.SUCCEEDED
    deployment.until(lambda: f"Approved by <@{lea}>" in copy(deployment, job))
    deployment.until(lambda: f"Approved by <@{lea}>" in str(deployment.card(job)["blocks"]))
    assert "'approve'" not in copy(deployment, job) + str(deployment.card(job)["blocks"])

    deployment.people.redeliver(teammates)
    deployment.until(lambda: f"<@{lea}> approved job" in deployment.whispers("tam", job.channel))
    assert len(deployment.attempts(job)) == 1


def test_a_denial_carries_its_reason_to_the_requester_and_holds_nothing(deployment: Deployment) -> None:
    job = asked(deployment, "denied")
    press_own_copy(deployment, job, "deny")
    form = deployment.form("lea", "deny")
    assert deployment.people.submit("lea", form, {"reason": "smaller", "words": "An L4 will do."}).ok
    done = deployment.ended(job)
    assert (done.state, done.decided_by) == (JobState.DENIED, deployment.people.user_id("lea"))
    told = f"<@{job.person}> <@{done.decided_by}> denied it: Try a smaller GPU first. An L4 will do."
    deployment.until(lambda: told in deployment.texts(job))
    deployment.until(lambda: "Denied by" in copy(deployment, job))
    assert deployment.attempts(job) == []


def test_a_denial_for_another_reason_needs_its_words(deployment: Deployment) -> None:
    job = asked(deployment, "wordless")
    press_own_copy(deployment, job, "deny")
    form = deployment.form("lea", "deny")
    assert deployment.people.submit("lea", form, {"reason": "other"}).errors == {"words": "Please say why."}
    assert deployment.people.close("lea", form).ok
    assert deployment.press("ada", job, "stop").ok
    assert deployment.ended(job).state is JobState.CANCELLED
    deployment.until(lambda: "Withdrawn before anybody decided" in copy(deployment, job))


def test_a_shorter_approval_cuts_the_hours_and_the_hold(deployment: Deployment) -> None:
    job = asked(deployment, "shorter")
    press_own_copy(deployment, job, "approve_shorter")
    form = deployment.form("lea", "shorter")
    assert deployment.people.submit("lea", form, {"minutes": "180"}).ok
    done = deployment.ended(job)
    assert done.state is JobState.SUCCEEDED
    assert (done.spec or {})["minutes"] == 180
    # Three of twelve hours, and the minute that ending takes.
    assert job.hold / 4 < done.hold < job.hold / 3
    (attempt,) = deployment.attempts(job)
    assert attempt.deadline - attempt.intent_at <= timedelta(minutes=181)


def test_what_the_month_does_not_have_is_granted_once_for_that_job(deployment: Deployment) -> None:
    lead(deployment, "/budget cap 1")
    try:
        job = asked(deployment, "granted", "gpu=a100 hours=3")
        assert job.needs_lead == ["budget", "share"]
        free = deployment.free()
        assert 0 < free <= DOLLAR
        assert dollars(free) in copy(deployment, job)
        assert deployment.held() == 0
        press_own_copy(deployment, job, "approve")
        done = deployment.ended(job)
    finally:
        lead(deployment, "/budget cap 300")
    assert done.state is JobState.SUCCEEDED
    amounts = {entry.kind: entry.micros for entry in deployment.entries(job)}
    assert amounts[EntryKind.HOLD] == done.hold
    # What was lacking was granted, and went back with the job that needed none of it.
    assert amounts[EntryKind.GRANT] == done.hold - free
    assert amounts[EntryKind.REVOKE] == amounts[EntryKind.GRANT]


def test_a_freeze_stops_new_rentals_until_it_is_lifted(deployment: Deployment) -> None:
    reference = deployment.script("acme/frozen", QUICK)
    lead(deployment, "/budget freeze")
    try:
        job = deployment.train(f"{reference} gpu=a100 hours=1")
        assert deployment.ended(job).state is JobState.FAILED
        deployment.until(lambda: "/budget unfreeze" in deployment.whispers("ada", job.channel))
    finally:
        lead(deployment, "/budget unfreeze")
    assert deployment.ended(deployment.train(f"{reference} gpu=a100 hours=1")).state is JobState.SUCCEEDED


def test_only_leads_change_the_budget(deployment: Deployment) -> None:
    outcome = deployment.type("ada", "/budget cap 100000")
    assert "lead" in str((outcome.reply or {})["text"])
    assert "$300.00" in lead(deployment, "/budget")


def test_a_team_without_a_budget_fails_closed_with_the_line_to_type(deployment: Deployment) -> None:
    deployment.kill()
    add = ["team", "add", "nlp", "--channel", deployment.people.channel_id("#nlp")]
    subprocess.run([sys.executable, "-m", "bot.cli", *add], env={**os.environ, **deployment.environment}, check=True)
    deployment.start()
    job = deployment.train(f"{deployment.script('acme/poor', QUICK)} gpu=a100 hours=1", channel="#nlp", team="nlp")
    assert deployment.ended(job).state is JobState.FAILED
    deployment.until(lambda: "A lead types `/budget cap 300`" in deployment.whispers("ada", job.channel))
    assert deployment.attempts(job) == []


def test_extend_moves_the_deadline_of_a_running_job_and_run_again_repeats_it(deployment: Deployment) -> None:
    job = deployment.train(f"{deployment.script('acme/longer', WAITS)} gpu=a100 hours=1")
    deployment.until(lambda: deployment.job(job.id).state is JobState.RUNNING)
    before = deployment.job(job.id)
    assert deployment.press("ada", job, "extend").ok
    assert deployment.people.submit("ada", deployment.form("ada", "extend"), {"minutes": "30"}).ok
    deployment.until(lambda: deployment.job(job.id).deadline != before.deadline)
    after = deployment.job(job.id)
    assert before.deadline is not None
    assert after.deadline == before.deadline + timedelta(minutes=30)
    assert before.hold < after.hold <= before.hold * 3 / 2
    (machine,) = deployment.machines()
    assert int(machine.tags["deadline"]) == int(after.deadline.timestamp())
    deployment.until(lambda: f"<@{job.person}> extended it" in deployment.texts(job))
    assert deployment.press("ada", job, "stop").ok
    assert deployment.ended(job).state is JobState.CANCELLED

    known = {one.id for one in deployment.jobs()}
    assert deployment.press("ada", job, "rerun").ok
    again = deployment.until(lambda: next((one for one in deployment.jobs() if one.id not in known), None))
    assert again.rerun_of == job.id
    deployment.until(lambda: deployment.job(again.id).state is JobState.RUNNING)
    assert (deployment.job(again.id).source or {})["sha"] == (after.source or {})["sha"]
    assert deployment.press("ada", again, "stop").ok
    assert deployment.ended(again).state is JobState.CANCELLED

"""Requests, cancellations and reruns: written once, told once, balanced."""

from __future__ import annotations

import pytest

from jobs import db as rows
from jobs import records
from jobs.clock import SystemClock
from jobs.errors import NotAllowed, NotFound, NotWritten, TooLate
from jobs.lifecycle import JobEventName, JobState
from jobs.model import EntryKind, NoteKind
from jobs.providers import Offer
from jobs.service import Service
from jobs.values import DOLLAR, Request
from tests.support.builders import SHA, a_request, an_offer
from tests.support.clock import START
from tests.support.house import ADA, BOB, GUEST, LEAD, House

# ---------------------------------------------------------------- requests


def test_a_request_is_a_job_a_note_and_a_word_to_the_workers() -> None:
    house = House()
    request = a_request(notify=("U2BOB",), reason="ablation")
    job, new = house.service.request(request)
    stored = house.job(job.id)
    assert new
    assert (stored.state, stored.team_id, stored.person, stored.notify) == (
        JobState.REQUESTED,
        "vision",
        "U1ADA",
        ["U2BOB"],
    )
    assert stored.request == records.dump(request)
    assert [(note.kind, note.data) for note in house.notes(job.id)] == [("requested", {"text": request.text})]
    assert house.woken == [job.id]


def test_a_delivery_that_comes_twice_makes_one_job() -> None:
    house = House()
    request = a_request()
    first, second = house.service.request(request), house.service.request(request)
    assert (first[0].id, second[0].id, second[1]) == (first[0].id, first[0].id, False)
    assert house.kinds(first[0].id) == ["requested"]
    assert house.woken == [first[0].id]


def test_a_channel_that_nobody_mapped_spends_for_the_configured_team() -> None:
    house = House(cap=None)
    job, _ = house.service.request(a_request(channel="C9NEW"))
    assert (job.team_id, house.team().cap, house.team().zone) == ("vision", None, "UTC")


def test_a_mapped_channel_spends_for_its_own_team() -> None:
    house = House()
    house.service.add_team("speech", zone="Asia/Tokyo")
    house.service.map_channel("C2SPEECH", "speech")
    assert house.asked(channel="C2SPEECH").team_id == "speech"
    assert house.service.team_of("C2SPEECH").zone == "Asia/Tokyo"
    house.service.map_channel("C2SPEECH", "vision")
    assert house.asked(channel="C2SPEECH").team_id == "vision"
    with pytest.raises(NotFound, match="`nobody`"):
        house.service.map_channel("C2SPEECH", "nobody")


def test_an_id_that_is_taken_is_replaced_by_the_next() -> None:
    house = House()

    class Repeating:
        def __init__(self) -> None:
            self.names = iter(["same", "same", "other"])

        def job(self) -> str:
            return next(self.names)

        def token(self) -> str:
            return "unused"

    service = Service(
        db=house.db,
        clock=SystemClock(),
        ids=Repeating(),
        settings=house.settings,
        traits={},
        mover=lambda job, deadline: None,
        wake=lambda job_id: None,
    )
    made = [service.request(a_request())[0].id for _ in range(2)]
    assert made == ["same", "other"]


def test_where_nothing_could_be_written_nobody_is_told_otherwise() -> None:
    house = House()
    with house.db.write() as tx:
        tx.connection().exec_driver_sql("DROP TABLE seen")
    with pytest.raises(NotWritten, match="Nothing was written"):
        house.service.request(a_request())
    assert (house.service.list_jobs("vision"), house.woken) == ([], [])


def test_a_teams_jobs_are_listed_newest_first() -> None:
    house = House()
    first = house.asked()
    house.clock.advance(1)
    second = house.asked(person="U2BOB")
    assert [job.id for job in house.service.list_jobs("vision")] == [second.id, first.id]
    assert [job.id for job in house.service.list_jobs("vision", person="U1ADA")] == [first.id]
    assert [job.id for job in house.service.list_jobs("vision", limit=1)] == [second.id]
    assert house.service.list_jobs("speech") == []


# ---------------------------------------------------------------- cancellations


def test_a_job_that_was_not_priced_yet_is_cancelled_at_once() -> None:
    house = House()
    job = house.service.cancel(house.asked().id, ADA)
    assert (job.state, job.stop_reason, job.stop_by) == (JobState.CANCELLED, "stopped", "U1ADA")
    assert house.kinds(job.id) == ["requested", "ended"]
    assert house.entries(job.id) == []


@pytest.mark.parametrize("minutes", [240, 900], ids=["queued", "awaiting a lead"])
def test_what_was_held_is_given_back_with_the_cancellation(minutes: float) -> None:
    house = House()
    job = house.priced(minutes=minutes)
    assert house.period().held == job.hold > 0
    job = house.service.cancel(job.id, ADA)
    assert (job.state, job.charged, job.finished_at) == (JobState.CANCELLED, 0, START)
    assert house.entries(job.id)[1:] == [(EntryKind.CHARGE, 0), (EntryKind.RELEASE, job.hold)]
    assert house.period().held == 0


def test_a_job_between_two_machines_pays_for_the_first_when_it_is_cancelled() -> None:
    house = House()
    job = house.with_machine(house.priced())
    with house.db.write() as tx:
        (attempt,) = rows.attempts(tx, job.id)
        rows.touch_attempt(tx, attempt, START, billed=3 * DOLLAR)
        rows.move(tx, rows.get_job(tx, job.id), JobEventName.RECLAIM, START)
    job = house.service.cancel(job.id, ADA)
    assert (job.state, job.charged) == (JobState.CANCELLED, 3 * DOLLAR)
    assert house.period().spent == 3 * DOLLAR
    house.balanced()


def test_a_machine_is_asked_to_save_and_stop() -> None:
    house = House()
    job = house.with_machine(house.priced())
    job = house.service.cancel(job.id, ADA)
    assert (job.state, job.stop_reason, job.stop_by, job.stopping_at) == (
        JobState.STOPPING,
        "stopped",
        "U1ADA",
        START,
    )
    assert house.notes(job.id)[-1].data == {"reason": "stopped"}
    assert house.period().held == job.hold  # until the machine is gone
    assert house.woken[-1] == job.id


@pytest.mark.parametrize(("by", "allowed"), [(ADA, True), (BOB, True), (LEAD, True), (GUEST, True)])
def test_the_requester_those_who_are_notified_and_leads_may_stop(by: object, allowed: bool) -> None:
    house = House()
    job = house.asked(notify=("U2BOB",))
    assert house.service.cancel(job.id, by).state is JobState.CANCELLED  # type: ignore[arg-type]  # parametrised


def test_anybody_else_may_not_stop() -> None:
    house = House()
    job = house.asked()
    with pytest.raises(NotAllowed, match="U1ADA"):
        house.service.cancel(job.id, BOB)
    assert house.job(job.id).state is JobState.REQUESTED


def test_stopping_twice_is_told_the_reason_and_who() -> None:
    house = House()
    job = house.with_machine(house.priced())
    house.service.cancel(job.id, ADA)
    with pytest.raises(TooLate, match=r"stopping already \(stopped, asked by U1ADA\)") as told:
        house.service.cancel(job.id, LEAD)
    assert (told.value.by, told.value.at) == ("U1ADA", START)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (JobEventName.SUCCEED, "finished at 10:00 UTC"),
        (JobEventName.FAIL, r"failed \(finished\) at 10:00 UTC"),
        (JobEventName.TIME_OUT, "ran to its deadline at 10:00 UTC"),
        (JobEventName.CANCEL, "was cancelled at 10:00 UTC"),
    ],
)
def test_stopping_what_has_ended_is_told_how(event: JobEventName, words: str) -> None:
    house = House()
    job = house.with_machine(house.priced())
    house.settle(job, 1, event)
    with pytest.raises(TooLate, match=words):
        house.service.cancel(job.id, ADA)


# ---------------------------------------------------------------- reruns


def test_a_rerun_asks_for_the_commit_that_ran_with_what_is_typed_now() -> None:
    house = House()
    old = house.priced()
    with house.db.write() as tx:
        env = {**old.request["overrides"], "env": {"LR": "1", "WD": "2"}}
        rows.touch(tx, rows.get_job(tx, old.id), START, request={**old.request, "overrides": env})
    job, new = house.service.rerun(old.id, BOB, {"hours": "2", "env": {"LR": "3"}}, "press-1")
    request = records.parse(Request, job.request)
    assert new
    assert (request.ref, request.person, request.rerun_of, job.rerun_of, request.resume) == (
        SHA,
        "U2BOB",
        old.id,
        old.id,
        False,
    )
    assert request.overrides == {"gpu": "a100", "hours": "2", "env": {"LR": "3", "WD": "2"}}
    assert house.service.rerun(old.id, BOB, {}, "press-1") == (job, False)


def test_a_rerun_may_go_on_from_the_last_checkpoint() -> None:
    house = House()
    job, _ = house.service.rerun(house.priced().id, ADA, {}, "press-1", resume=True)
    assert records.parse(Request, job.request).resume


def test_a_rerun_of_what_never_resolved_asks_for_the_ref_as_typed() -> None:
    house = House()
    job, _ = house.service.rerun(house.asked().id, ADA, {}, "press-1")
    assert records.parse(Request, job.request).ref == "3f9c2ab"


def test_a_guest_may_not_rerun() -> None:
    house = House()
    with pytest.raises(NotAllowed, match="guest"):
        house.service.rerun(house.asked().id, GUEST, {}, "press-1")


def test_a_button_that_is_pressed_twice_asks_for_one_more_machine() -> None:
    house = House()
    old = house.priced()
    first, new = house.service.rerun(old.id, ADA, {"gpu": "h100"}, "press-1", pressed=True)
    assert new
    house.clock.advance(29)
    assert house.service.rerun(old.id, ADA, {"gpu": "h100"}, "press-2", pressed=True) == (first, False)
    house.clock.advance(2)
    assert house.service.rerun(old.id, ADA, {"gpu": "h100"}, "press-2", pressed=True) == (first, False)  # came again
    again, new = house.service.rerun(old.id, ADA, {"gpu": "h100"}, "press-3", pressed=True)
    assert new
    assert again.id != first.id


def test_a_button_that_is_pressed_after_its_job_is_over_asks_for_another() -> None:
    house = House()
    old = house.priced()
    first, _ = house.service.rerun(old.id, ADA, {}, "press-1", pressed=True)
    house.service.rerun(old.id, ADA, {}, "press-2", pressed=True)
    house.clock.advance(5)
    assert house.service.cancel(first.id, ADA).state is JobState.CANCELLED
    house.clock.advance(10)
    assert house.service.rerun(old.id, ADA, {}, "press-1", pressed=True)[0].id == first.id  # came again
    job, new = house.service.rerun(old.id, ADA, {}, "press-2", pressed=True)  # so did this, which made no job
    assert (job.id, new) == (first.id, False)
    again, new = house.service.rerun(old.id, ADA, {}, "press-3", pressed=True)
    assert new
    assert house.job(again.id).state is JobState.REQUESTED


def test_what_is_another_wish_is_no_second_press() -> None:
    house = House()
    old = house.priced()
    presses = [
        house.service.rerun(old.id, ADA, {}, "press-1", pressed=True),
        house.service.rerun(old.id, ADA, {"gpu": "h100"}, "press-2", pressed=True),
        house.service.rerun(old.id, ADA, {}, "press-3", pressed=True, resume=True),
        house.service.rerun(old.id, BOB, {}, "press-4", pressed=True),
        house.service.rerun(house.priced().id, ADA, {}, "press-5", pressed=True),
        house.service.rerun(old.id, ADA, {}, "typed-1"),
        house.service.rerun(old.id, ADA, {}, "typed-2"),
    ]
    assert all(new for _, new in presses)
    assert len({job.id for job, _ in presses}) == len(presses)


# ---------------------------------------------------------------- records


def test_what_is_stored_reads_back_as_what_was_written() -> None:
    offer = an_offer(cuda="12.8", fixed_price=True)
    assert records.parse(Offer, records.dump(offer)) == offer
    assert NoteKind("requested") is NoteKind.REQUESTED

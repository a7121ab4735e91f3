"""The credentials of machines that run: when the next are lent, and what happens where they are not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jobs import db
from jobs.errors import Unauthorized
from jobs.leases import EXPIRES, KEY_ID, SECRET, TOKEN
from jobs.providers import Traits
from jobs.rentals import Rentals
from tests.support.builders import a_spec, some_traits
from tests.support.clock import FakeClock
from tests.support.fake_provider import FakeProvider
from tests.support.world import World
from trainer import wire
from trainer.wire import Input, Lease

HOUR = timedelta(hours=1)


class Bank:
    """Lends numbered credentials for a time, and notes when and for what."""

    def __init__(self, clock: FakeClock, lasts: timedelta) -> None:
        self.clock = clock
        self.lasts = lasts
        self.lent: list[timedelta] = []  # since the first
        self.asked: list[tuple[str, int, Sequence[str]]] = []
        self.refuses: Exception | None = None
        self._opened = clock.now()

    def __call__(self, job: str, attempt: int, deadline: datetime, inputs: Sequence[str]) -> dict[str, str]:
        self.asked.append((job, attempt, inputs))
        if self.refuses is not None:
            raise self.refuses
        self.lent.append(self.clock.now() - self._opened)
        until = str(int((self.clock.now() + self.lasts).timestamp()))
        number = len(self.lent)
        return {KEY_ID: f"ASIA{number}", SECRET: f"hush-{number}", TOKEN: f"token-{number}", EXPIRES: until}


def world(folder: Path, lasts: timedelta, traits: Traits | None = None) -> tuple[World, Bank]:
    """Return a deployment whose machines' credentials last so long."""
    clock = FakeClock()
    world = World(folder, FakeProvider(clock, traits=traits or some_traits(startup=timedelta(0))), clock=clock)
    return world, banked(world, Bank(clock, lasts))


def banked(world: World, bank: Bank) -> Bank:
    """Let the bank lend first and next credentials from now on."""
    world.ports = dataclasses.replace(world.ports, credentials=bank, renew=bank, store_uri="s3://team-files/hg")
    world.rentals = Rentals(world.ports, silence=0.0)
    return bank


def lease(world: World, job_id: str) -> Lease | None:
    """Return what lies ready for the machine."""
    data = world.store.get(wire.lease_key(job_id, 1))
    return None if data is None else wire.from_json(Lease, data)


@pytest.mark.parametrize(
    ("lasts", "minutes", "lent"),
    [
        (12 * HOUR, 600, [0]),  # one session for all of it
        (HOUR, 55, [0]),  # that ends with five minutes to spare
        (HOUR, 240, [0, 30, 60, 90, 120, 150, 180, 210]),
        (12 * HOUR, 1440, [0, 360, 720, 1080]),
    ],
)
def test_the_next_credentials_are_lent_at_half_life_until_they_outlive_the_deadline(
    tmp_path: Path, lasts: timedelta, minutes: int, lent: list[int]
) -> None:
    deployment, bank = world(tmp_path, lasts)
    deployment.running(a_spec(minutes=minutes, providers=("cloud",)))
    deployment.pass_time(minutes=minutes - 1, every=60.0)
    assert [round(at.total_seconds() / 60) for at in bank.lent] == lent


def test_they_lie_where_the_machine_reads_and_are_the_newest(tmp_path: Path) -> None:
    deployment, bank = world(tmp_path, HOUR)
    taken = (Input(name="coco", source="s3://acme-data/coco"),)
    job_id, _ = deployment.running(a_spec(minutes=240, providers=("cloud",), inputs=taken))
    assert lease(deployment, job_id) is None
    deployment.pass_time(minutes=31)
    stands = lease(deployment, job_id)
    assert stands is not None
    assert (stands.access_key_id, stands.secret_access_key, stands.session_token) == ("ASIA2", "hush-2", "token-2")
    assert timedelta(seconds=stands.until - deployment.clock.now().timestamp()) > 0.9 * HOUR
    assert bank.asked == 2 * [(job_id, 1, ("s3://acme-data/coco",))]


def test_a_rental_that_is_made_longer_than_its_session_is_renewed_in_time(tmp_path: Path) -> None:
    deployment, bank = world(tmp_path, 12 * HOUR)
    job_id, _ = deployment.running(a_spec(minutes=660, providers=("cloud",)))
    deployment.pass_time(hours=10, every=300.0)
    assert len(bank.lent) == 1
    job = deployment.job(job_id)
    assert job.deadline is not None
    deployment.rentals.move_deadline(job, job.deadline + 6 * HOUR)
    with deployment.db.write() as tx:
        db.touch(tx, db.get_job(tx, job_id), deployment.clock.now(), deadline=job.deadline + 6 * HOUR)
    deployment.pass_time(minutes=1)
    assert len(bank.lent) == 2


def test_a_bot_that_starts_again_goes_on_where_the_other_was(tmp_path: Path) -> None:
    deployment, bank = world(tmp_path, HOUR)
    deployment.running(a_spec(minutes=240, providers=("cloud",)))
    deployment.pass_time(minutes=31)
    deployment.restart()
    banked(deployment, bank)
    deployment.pass_time(minutes=20)
    assert len(bank.lent) == 2
    deployment.pass_time(minutes=11)
    assert len(bank.lent) == 3


def test_a_refusal_is_tried_again_and_told_once_when_time_presses(tmp_path: Path) -> None:
    deployment, bank = world(tmp_path, HOUR)
    job_id, _ = deployment.running(a_spec(minutes=240, providers=("cloud",)))
    bank.refuses = Unauthorized("AWS did not allow it: sts:AssumeRole.")
    deployment.pass_time(minutes=44)
    assert deployment.notes(job_id, "trouble") == [], "it may come yet"
    deployment.pass_time(minutes=6)
    (told,) = [note.data for note in deployment.notes(job_id, "trouble")]
    assert told["code"] == "credentials"
    assert "UTC, and no longer" in told["text"]
    assert "sts:AssumeRole" in told["text"]
    bank.refuses = None
    deployment.pass_time(seconds=30)
    assert lease(deployment, job_id) is not None


def test_who_lends_without_an_end_is_not_asked_again(tmp_path: Path) -> None:
    deployment, _ = world(tmp_path, HOUR)

    def forever(job: str, attempt: int, deadline: datetime, inputs: Sequence[str]) -> dict[str, str]:
        return {SECRET: "hush"}

    deployment.ports = dataclasses.replace(deployment.ports, credentials=forever, renew=forever)
    deployment.rentals = Rentals(deployment.ports, silence=0.0)
    job_id, _ = deployment.running(a_spec(minutes=240, providers=("cloud",)))
    deployment.pass_time(hours=3, every=300.0)
    assert lease(deployment, job_id) is None


def test_nothing_lies_ready_for_a_machine_that_is_gone_and_no_secret_was_written_down(tmp_path: Path) -> None:
    deployment, _ = world(tmp_path, HOUR)
    job_id, agent = deployment.running(a_spec(minutes=240, providers=("cloud",)))
    deployment.pass_time(minutes=31)
    assert lease(deployment, job_id) is not None
    notes = json.dumps([note.data for note in deployment.notes(job_id)], default=str)
    assert "hush" not in notes and "hush" not in repr(lease(deployment, job_id))
    agent.ends()
    deployment.pass_time(minutes=5)
    assert deployment.cloud.alive() == []
    assert lease(deployment, job_id) is None

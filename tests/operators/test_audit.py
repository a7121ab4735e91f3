"""The audit log: complete, in order, append-only, and safe to look at."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from bot import audit
from bot.audit import Line
from bot.cli import cli
from jobs import schema
from jobs.db import Database
from jobs.values import DOLLAR
from tests.support.builders import a_spec
from tests.support.clock import START
from tests.support.house import ADA, LEAD, House
from tests.support.world import World


@pytest.mark.parametrize("table", ["note", "entry"])
@pytest.mark.parametrize("change", ["UPDATE {} SET key = 'other'", "DELETE FROM {}"])
def test_what_was_written_down_cannot_be_changed_or_taken_away(table: str, change: str) -> None:
    house = House()
    house.priced(minutes=60)
    before = kept(house, table)
    with pytest.raises(IntegrityError, match=f"{table} is append-only"), house.db.write() as tx:
        tx.connection().execute(text(change.format(table)))
    assert kept(house, table) == before != []


def test_an_older_database_gets_its_guard_at_the_next_start(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    older = Database.open(url)
    with older.engine.begin() as connection:
        command.downgrade(schema.migrations(connection), "0001")
    older.close()
    newer = Database.open(url)
    with newer.read() as tx:
        triggers = tx.connection().execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all()
    newer.close()
    assert len(triggers) == 4


def test_who_asked_approved_and_extended_is_in_it_with_the_money_and_the_cap(tmp_path: Path) -> None:
    house = House()
    job = house.priced(minutes=1200)
    house.clock.advance(minutes=1)
    house.service.set_budget("vision", LEAD, "cap", 400 * DOLLAR)
    house.clock.advance(minutes=1)
    house.service.approve(job.id, LEAD)
    job = house.with_machine(house.job(job.id))
    house.clock.advance(minutes=1)
    house.service.extend(job.id, LEAD, 60)
    house.clock.advance(minutes=1)
    house.service.cancel(job.id, ADA)
    with house.db.read() as tx:
        found = [(line.kind, line.by) for line in audit.lines(tx, job.id)]
    assert found == [
        ("requested", ADA.id),
        ("priced", ""),
        ("asked", ""),
        ("money:hold", ""),
        ("budget", LEAD.id),
        ("granted", LEAD.id),
        ("extended", LEAD.id),
        ("money:hold", ""),
        ("stopping", ADA.id),
    ]


def test_every_call_that_makes_or_ends_a_machine_is_in_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    job_id, _ = world.running(a_spec(minutes=30))
    world.pass_time(hours=1)
    with world.db.read() as tx:
        kinds = [line.kind for line in audit.lines(tx, job_id)]
    calls = [kind for kind in kinds if kind in ("intent", "called", "launched", "ending", "terminated", "gone")]
    assert calls == ["intent", "called", "launched", "ending", "terminated", "gone"]


def test_each_launch_call_is_a_fact_and_an_accepted_end_is_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.cloud.lose_answers()
    world.cloud.deaf = True
    job_id = world.launch()
    for machine in world.cloud.machines:
        machine.ends_at = world.now() - timedelta(seconds=1)  # so that the key has to be asked for again
    world.stop(job_id)
    world.pass_time(minutes=3)
    with world.db.read() as tx:
        kinds = [line.kind for line in audit.lines(tx, job_id)]
    assert kinds.count("called") == len([verb for verb, _ in world.cloud.calls if verb == "launch"])
    assert kinds.count("terminated") <= 1


def test_nothing_in_it_steers_a_terminal() -> None:
    evil = "\x1b]0;owned\x07\u202egnp.exe\x9b2J\n\r"
    line = Line(at=START, kind="requested", by=f"U1{evil}", data={"text": f"acme/vit {evil}"})
    shown = "".join(audit.as_text(line))
    assert [c for c in shown if c in evil and c not in "]0;ownedgp.x2J"] == []
    assert all(" " <= c <= "~" for c in audit.as_json(line))
    assert json.loads(audit.as_json(line))["text"] == f"acme/vit {evil}"


def test_facts_cannot_hide_who_wrote_them() -> None:
    line = Line(at=START, kind="granted", by="U9LEAD", data={"by": "U1ADA", "kind": "requested", "at": "never"})
    assert json.loads(audit.as_json(line)) == {"at": START.isoformat(), "kind": "granted", "by": "U9LEAD"}


def test_times_and_money_are_shown_as_people_write_them() -> None:
    line = Line(at=START, kind="settled", by="", data={"charged": 6_120_000, "deadline": START.timestamp(), "text": ""})
    assert audit.as_text(line) == (
        "2026-11-12 10:00:00",
        "settled",
        "hourglass",
        "charged=$6.12  deadline=2026-11-12T10:00:00Z",
    )


def test_the_command_prints_lines_of_json_to_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    house = House(url=url)
    job = house.priced(minutes=60)
    monkeypatch.setenv("DATABASE_URL", url)
    printed = CliRunner().invoke(cli, ["audit", job.id])
    assert printed.exit_code == 0
    kinds = [json.loads(line)["kind"] for line in printed.stdout.splitlines()]
    assert kinds == ["requested", "priced", "money:hold"]


@pytest.mark.parametrize("words", [["audit", "job0001"], ["team", "list"]], ids=" ".join)
def test_a_command_that_reads_says_where_there_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'nothing.db'}")
    asked = CliRunner().invoke(cli, words)
    assert "There is no database here yet" in str(asked.exception)


def test_the_teams_are_listed_with_their_channels_and_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'hourglass.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("HOURGLASS_TEAM", "vision")
    monkeypatch.setenv("HOURGLASS_STATE", str(tmp_path))
    House(url=url).service.add_team("idle")
    CliRunner().invoke(cli, ["team", "add", "nlp", "--channel", "C2TEXT", "--lead", "U9LEAD"], catch_exceptions=False)
    told = CliRunner().invoke(cli, ["team", "list"], catch_exceptions=False).stdout.splitlines()
    assert told == [
        "idle: channels none; leads as configured",
        "nlp: channels C2TEXT; leads U9LEAD",
        "vision: channels all others; leads as configured",
    ]


def kept(house: House, table: str) -> list[object]:
    """Return a table's rows."""
    with house.db.read() as tx:
        return list(tx.connection().execute(text(f"SELECT * FROM {table}")).all())  # noqa: S608  the test's own names

"""`hourglass reconcile`: the ledger beside Cost Explorer's bill, job by job, and every way in which they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import cli
from bot.reconcile import run
from jobs import reconcile
from jobs.db import Database
from jobs.errors import BadRequest, Rejected, Unauthorized
from jobs.lifecycle import AttemptState, JobState
from jobs.model import Attempt, Entry, EntryKind, Period
from jobs.providers.aws_policies import Estate, accountant, bot
from jobs.settings import Settings, load
from jobs.values import DOLLAR
from tests.aws.cloud import Cloud
from tests.aws.costs import Line
from tests.support.builders import a_job, a_team
from tests.support.clock import FakeClock

HOME = "0a1b2c3d-0000-4000-8000-000000000000"
NOW = datetime(2026, 12, 3, 12, tzinfo=UTC)


@dataclass
class Books:
    """A ledger with two months, in a file, and the bill."""

    settings: Settings
    database: Database
    cloud: Cloud

    def job(
        self, name: str, cents: int, day: datetime, *, month: str = "2026-11", aws: bool = True, over: bool = True
    ) -> None:
        """Write down a job whose machine stood for an hour."""
        state, micros = JobState.SUCCEEDED if over else JobState.RUNNING, cents * DOLLAR // 100
        with self.database.write() as tx:
            period = {"2026-11": 1, "2026-12": 2}[month]
            charged = micros if over else None
            tx.add(a_job(id=name, delivery=name, state=state, charged=charged, period_id=period, created_at=day))
            tx.flush()
            end = {"billed_until": day + timedelta(hours=1), "billed": micros} if over else {}
            tx.add(
                Attempt(
                    job_id=name,
                    number=1,
                    launch_key=f"key-{name}",
                    state=AttemptState.GONE if over else AttemptState.UP,
                    provider="aws" if aws else "docker",
                    offer={},
                    micros_per_hour=micros,
                    deadline=day + timedelta(hours=2),
                    intent_at=day,
                    launched_at=day,
                    **end,
                )
            )
            if over:
                entry = {"key": f"{name}:charge", "period_id": period, "job_id": name, "person": "U1"}
                tx.add(Entry(**entry, kind=EntryKind.CHARGE, micros=micros, at=day))

    def line(self, job: str, dollars: str, day: int = 10, month: int = 11, home: str = HOME) -> None:
        """Write a line of the bill."""
        tags = {"job": job, "home": home, "app": "hourglass"}
        self.cloud.front.costs.lines.append(Line(date(2026, month, day), dollars, tags))

    def reconciled(self, month: str = "2026-11", percent: float = 2.0) -> int:
        return run(month, percent, clients=self.cloud.client, settings=self.settings, clock=FakeClock(NOW))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    settings = load({"HOURGLASS_STATE": str(tmp_path), "HOURGLASS_HOME": HOME})
    database = Database.open(settings.database())
    with database.write() as tx:
        tx.add(a_team())
        tx.flush()
        for month in ("2026-11", "2026-12"):
            tx.add(Period(team_id="vision", month=month, cap=300 * DOLLAR))
    with Cloud() as cloud:
        yield Books(settings, database, cloud)
    database.close()


def at(day: int, month: int = 11, hour: int = 9) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def verdicts(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, tuple[int, int, str]], str]:
    """Return booked and billed in cents and the verdict, by job; and what was said beside it."""
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    cent = DOLLAR // 100
    return {row["job"]: (row["booked"] // cent, row["billed"] // cent, row["verdict"]) for row in rows}, err


def test_jobs_that_agree_within_the_tolerance_leave_with_zero(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    books.job("exact", 300, at(10))
    books.job("near", 1000, at(11))
    books.job("cents", 4, at(12))
    books.line("exact", "2.9")
    books.line("exact", "0.1")  # its disk
    books.line("near", "10.1999")
    books.line("cents", "0.0851")
    books.line("", "4000")  # everything else in the account
    assert books.reconciled() == 0
    rows, said = verdicts(capsys)
    assert rows == {"exact": (300, 300, "agrees"), "near": (1000, 1019, "agrees"), "cents": (4, 8, "agrees")}
    assert "$0.01 a page" in said.splitlines()[0]
    assert said.splitlines()[1] == "3 jobs: 3 agrees"


def test_what_differs_is_not_billed_or_is_in_no_ledger_is_flagged(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.job("dear", 1000, at(10))
    books.job("gone", 500, at(11))
    books.line("dear", "10.21")
    books.line("stray", "7")
    books.line("stray", "70", month=12, day=1)  # asked about only where a job of the month used that day
    assert books.reconciled() == 1
    assert verdicts(capsys)[0] == {
        "dear": (1000, 1021, "differs"),
        "gone": (500, 0, "not billed"),
        "stray": (0, 700, "not booked"),
    }
    assert books.reconciled(percent=5) == 1
    assert verdicts(capsys)[0]["dear"][2] == "agrees"


def test_a_job_belongs_to_the_month_of_its_hold_over_all_days_of_its_machines(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.job("over", 1000, at(30, hour=23) + timedelta(hours=0.5))
    books.job("next", 800, at(1, month=12, hour=2), month="2026-12")
    books.line("over", "6", day=30)
    books.line("over", "4", day=1, month=12)
    books.line("next", "8", day=1, month=12)
    books.line("stray", "9", day=1, month=12)
    assert books.reconciled() == 0
    assert verdicts(capsys)[0] == {"over": (1000, 1000, "agrees")}
    assert books.reconciled("2026-12") == 1
    assert verdicts(capsys)[0] == {"next": (800, 800, "agrees"), "stray": (0, 900, "not booked")}


def test_other_providers_and_other_homes_are_not_in_it(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    books.job("ours", 300, at(10))
    books.job("docker", 900, at(10), aws=False)
    books.line("ours", "3")
    books.line("theirs", "50", home="another-home")
    assert books.reconciled() == 0
    assert list(verdicts(capsys)[0]) == ["ours"]


def test_what_runs_or_ended_less_than_a_day_ago_is_too_new_to_be_flagged(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.job("fresh", 300, NOW - timedelta(hours=24.5), month="2026-12")
    books.job("stands", 300, at(1, month=12), month="2026-12", over=False)
    books.job("old", 300, NOW - timedelta(hours=25), month="2026-12")
    books.line("old", "3", month=12, day=2)
    assert books.reconciled("2026-12") == 0
    rows, said = verdicts(capsys)
    assert {job: row[2] for job, row in rows.items()} == {"stands": "too new", "old": "agrees", "fresh": "too new"}
    assert "less than 24 hours ago" in said
    assert "estimated" in said


def test_a_long_answer_is_read_to_its_end_page_by_page(books: Books, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(7):
        books.job(f"job{number}", 100, at(10))
        books.line(f"job{number}", "1")
    books.cloud.front.costs.page = 3
    assert books.reconciled() == 0
    assert len(verdicts(capsys)[0]) == 7
    assert books.cloud.front.costs.asked == 3


def test_a_tag_that_is_not_activated_is_said_with_how_to_activate_it(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.job("ours", 300, at(10))
    books.line("ours", "3")
    books.cloud.front.costs.activated = set()
    assert books.reconciled() == 1
    rows, said = verdicts(capsys)
    assert rows["ours"][2] == "not billed"
    assert "Cost Explorer knows no job at all. Activate the tags `job` and `home`" in said
    assert "aws ce update-cost-allocation-tags-status" in said
    books.cloud.front.costs.activated = {"job"}  # one alone does for a single deployment
    assert books.reconciled() == 0


@pytest.mark.parametrize(
    ("code", "said", "kind", "words"),
    [
        ("AccessDeniedException", "x is not authorized to perform: ce:GetCostAndUsage", Unauthorized, "CompareTheBill"),
        ("AccessDeniedException", "User not enabled for cost explorer access", Rejected, "never switched on"),
        ("DataUnavailableException", "The requested data is unavailable.", Rejected, "lags by up to 24 hours"),
        ("ExpiredTokenException", "expired", Unauthorized, "does not take the bot's credentials"),
    ],
)
def test_a_refusal_is_said_in_words(books: Books, code: str, said: str, kind: type[Exception], words: str) -> None:
    books.job("ours", 300, at(10))
    books.cloud.front.costs.refusal = (code, said)
    with pytest.raises(kind, match=words):
        books.reconciled()


def test_a_bill_in_another_currency_is_not_taken_for_dollars(books: Books) -> None:
    books.job("ours", 300, at(10))
    books.line("ours", "3")
    books.cloud.front.costs.unit = "CNY"
    with pytest.raises(Rejected, match="bills in CNY"):
        books.reconciled()


@pytest.mark.parametrize(("month", "words"), [("november", "is no month"), ("2027-01", "has not begun")])
def test_what_is_no_month_costs_nothing(books: Books, month: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        books.reconciled(month)
    assert books.cloud.front.costs.asked == 0


def test_the_accountants_policy_is_enough_and_the_bot_cannot_see_the_accounts_costs(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    books.job("ours", 300, at(10))
    books.line("ours", "3")
    books.cloud.front.policy = accountant()
    assert books.reconciled() == 0
    books.cloud.front.policy = bot(Estate(account="1" * 12, bucket="team-files"))
    with pytest.raises(Unauthorized, match="statement CompareTheBill"):
        books.reconciled()


def test_the_command_asks_whom_the_sdks_own_variables_name(
    books: Books, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    books.job("ours", 300, at(10))
    books.line("ours", "3")
    for name, value in books.cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_COST_EXPLORER", books.cloud.endpoint)
    monkeypatch.setenv("HOURGLASS_STATE", str(tmp_path))
    monkeypatch.setenv("HOURGLASS_HOME", HOME)
    ran = CliRunner().invoke(cli, ["reconcile", "2026-11"])
    assert ran.exit_code == 0, ran.output
    assert '"verdict": "agrees"' in ran.output
    helped = CliRunner().invoke(cli, ["reconcile", "--help"], env={"COLUMNS": "200"})
    assert "$0.01 a page" in " ".join(helped.output.replace("│", " ").split())


def test_a_day_of_the_month_that_is_still_to_come_is_not_asked_for() -> None:
    since, until = reconcile.days_of("2026-12", [], NOW)
    assert (since, until) == (date(2026, 12, 1), date(2026, 12, 4))

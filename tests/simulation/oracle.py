"""Who knows better: the team's money and machines, from what was asked, approved and billed, and nothing else.

The oracle keeps books of its own. It is told what people asked for and what leads allowed, it sees the clouds as they
really are, and it reads the ledger's rows as an auditor does: each new row has to be one that it expected, of the
amount that it reckoned. It never calls the product's sums, and never believes a state that it can see otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from sqlite3 import Connection

from jobs.policy import Person
from jobs.providers import Guarantee, Traits
from tests.simulation import months
from tests.simulation.books import Alerts, Book, Case, Tally, Violation, Written
from tests.simulation.cloud import Cloud
from tests.simulation.ends import Ends
from tests.simulation.fleet import Fleet
from tests.simulation.machine import Machine
from tests.simulation.reckoning import RETRIES, Ask, Terms, price, worst

AUTO_APPROVE = 30_000_000  # the teams' limit: what may cost less starts without a lead


class Oracle:
    """Looks at everything after each step; raises `Violation`. What it owes to machines' ends is in `ends`."""

    def __init__(self, db: Connection, clouds: Sequence[Cloud], now: Callable[[], datetime]) -> None:
        self._db = db
        self._fleet = Fleet(clouds)
        self._now = now
        self.cases: dict[str, Case] = {}
        self.books: dict[int, Book] = {}
        self.caps: dict[str, int] = {}
        self.fallen = False  # the database has fallen back, and is not rebuilt yet
        self.known_caps: set[tuple[str, int]] = set()  # that a lead ever set
        self.written: dict[str, Written] = {}  # every entry that was ever seen, by its key
        self.zones: dict[str, str] = {}  # where the teams live
        self.wall = now  # what the bot's own clock shows, by which it books
        self.tally = Tally()
        self.ends = Ends(self._fleet, self.cases, self.tally, now)
        self._entry = 0
        self._changes = -1  # rows that the database had ever changed at the last look
        self._alerts = Alerts(db)
        self._active: set[str] = set()
        self._known: set[str] = set()  # launch keys that have a machine
        self._pending: list[Violation] = []

    # ------------------------------------------------------------ what it is told

    def asked(self, job: str, ask: Ask, team: str, person: str) -> None:
        """Take note of a request that was written down."""
        if job not in self.cases:
            self.cases[job] = Case(ask=ask, team=team, person=person)
            self.cases[job].allows(ask.minutes)

    def priced(self, job: str, terms: Sequence[Terms]) -> None:
        """Take note of the market in the moment in which a request is priced."""
        if job in self.cases and self.cases[job].first is None:
            self.cases[job].terms = list(terms)

    def shortened(self, job: str, minutes: float) -> None:
        """Take note that a lead allowed less time than was asked for."""
        self.cases[job].allows(minutes)

    def extending(self, job: str, minutes: float, by: Person) -> None:
        """Take note of who is about to add minutes."""
        self.cases[job].extending, self.cases[job].extender = minutes, by

    def extended(self, job: str, minutes: float) -> None:
        """Take note that minutes were added: the deadline that people were told moved."""
        case = self.cases[job]
        case.allows(case.minutes + minutes)
        case.extending = 0.0
        if case.deadline is not None:
            case.deadline += timedelta(minutes=minutes)

    def capped(self, team: str, cap: int) -> None:
        """Take note of a lead's new cap; it counts for the month that has begun, and those that come."""
        self._read_entries()
        self.caps[team] = cap
        self.known_caps.add((team, cap))
        month = months.month(self.zones[team], self.wall())
        for book in self.books.values():
            if (book.team, book.month) == (team, month):
                book.cap = cap
                book.alerted = book.reached()  # from here on it is told anew

    def launched(self, cloud: Cloud, machine: Machine) -> None:
        """Judge a launch in the moment in which the cloud makes the machine; what is wrong is raised by `look`."""
        try:
            self._judge_launch(cloud, machine)
        except Violation as violation:  # a provider's caller would take it for an answer that was lost
            self._pending.append(violation)

    def _judge_launch(self, cloud: Cloud, machine: Machine) -> None:
        row = self._db.execute("SELECT job_id FROM attempt WHERE launch_key = ?", (machine.key,)).fetchone()
        if row is None:
            raise Violation(f"{machine.key} was launched before its intent was committed")
        self._read_entries()
        case = self.cases[row[0]]
        if machine.key in self._known:
            raise Violation(f"{machine.key} has two machines")
        together = [one for _, one in self._fleet.of(case) if one.order.attempt == machine.order.attempt]
        if len(together) > case.ask.nodes or any(
            one.alive(self._now()) for _, one in self._fleet.of(case) if one not in together
        ):
            raise Violation(f"{machine.key} was launched beside another machine of {row[0]}")
        if weak(cloud.traits, case.asks_lead) and not case.agreed_by:
            raise Violation(f"{machine.key} was launched and no lead had agreed: {weak(cloud.traits, case.asks_lead)}")
        self._known.add(machine.key)
        case.keys.append(machine.key)
        self._judge_terms(row[0], case, cloud, machine)
        self.ends.expect(cloud, machine)
        self.tally.machines += 1

    def _judge_terms(self, job: str, case: Case, cloud: Cloud, machine: Machine) -> None:
        rate = machine.offer.micros_per_hour
        if case.first is None:
            raise Violation(f"{machine.key} was launched and nothing is held for it")
        bid = max(rate, machine.offer.bid or 0)  # a spot machine may come to cost as much
        if not any(bid <= terms.ceiling for terms in case.terms):
            raise Violation(f"{machine.key} may cost {bid} an hour, which is over every ceiling that it can have")
        latest = self._now() + timedelta(minutes=case.minutes) + cloud.traits.startup
        if machine.order.deadline > latest:
            raise Violation(f"{machine.key} has the deadline {machine.order.deadline}, allowed was {latest}")
        stood = any(c.of_key(key) for key in case.keys[:-1] for c in self._fleet.clouds.values())
        if case.deadline is None or not stood:
            case.deadline = machine.order.deadline
        elif machine.order.deadline > case.deadline:
            raise Violation(f"{machine.key} goes on beyond the first machine's deadline {case.deadline}")
        before = [key for key in case.keys if not self._fleet.together(key, machine)]
        left = case.held - sum(self._fleet.billed(key, machine.launched_at)[0] for key in before)
        # Each of several: none of them may come to cost more than its share, so that all can be paid to the deadline.
        most = self._most(case, cloud, machine, machine.order.deadline, bid)
        if most > left:
            raise Violation(f"{machine.key} may cost {most} to its deadline, and {left} is held for {job}")
        if machine.order.deadline < case.deadline:  # a dearer one than the first: an earlier end is all that is paid
            dearest = max(terms.ceiling for terms in case.terms)
            again = RETRIES * price(dearest, case.ask.disk_gb, timedelta(microseconds=1), cloud.traits)
            if self._most(case, cloud, machine, case.deadline, dearest) + case.ask.nodes * again <= left:
                raise Violation(f"{machine.key} ends before {case.deadline}, to which {left} would pay")
            case.deadline = machine.order.deadline

    @staticmethod
    def _most(case: Case, cloud: Cloud, machine: Machine, deadline: datetime, bid: int) -> int:
        longest = deadline - machine.launched_at + cloud.traits.hard_lag
        return case.ask.nodes * price(bid, case.ask.disk_gb, longest, cloud.traits)

    # ------------------------------------------------------------ after each step

    def look(self) -> None:
        """Hold rows and machines against the books."""
        self.tally.steps += 1
        if self._pending:
            raise self._pending[0]
        if not self.fallen and self._changes != (changes := self._db.total_changes):
            self._changes = changes
            self._read_entries()
            self._judge_periods()
            self._judge_jobs()
        self.ends.judge()

    def resumes(self, books: dict[int, Book]) -> None:
        """Go on from rows that were rebuilt and judged: `books` are the months as their entries have them."""
        self.fallen, self.books, self._changes = False, books, -1
        (self._entry,) = self._db.execute("SELECT coalesce(max(id), 0) FROM entry").fetchone()
        self._alerts = Alerts(self._db, all_told=True)
        for job, period in self._db.execute("SELECT DISTINCT job_id, period_id FROM entry"):
            self.cases[job].period = period
        self._active = self._open_jobs()

    def _read_entries(self) -> None:
        rows = self._db.execute(
            "SELECT id, key, period_id, job_id, kind, micros FROM entry WHERE id > ? ORDER BY id", (self._entry,)
        ).fetchall()
        closing = ""  # the job that is being closed: its last entries stand one after the other
        for row_id, key, period, job, kind, amount in rows:
            self._entry = row_id
            self.tally.entries += 1
            case, book = self.cases[job], self._book(period)
            self.written[key] = Written(
                job=job, team=book.team, month=book.month, kind=kind, micros=amount, seen=self._now()
            )
            if case.charged is not None and ":late:" not in key:
                raise Violation(f"{key}: {job} was closed before")
            if case.period not in (None, period):
                raise Violation(f"{key} is in another month than the job's hold")
            if case.period is None:
                self._judge_month(key, case, book)
            case.period = period
            if amount < 0:
                raise Violation(f"{key} is negative")
            word = kind.lower()
            if closing and (job != closing or word == "charge"):
                self._judge_close(closing)
                closing = ""
            if word == "hold":
                self._judge_hold(job, case, book, key, amount)
            elif word == "grant":
                book.granted += amount
                case.granted += amount
            elif word == "release" and not key.endswith(":release"):
                self._judge_release(case, book, key, amount)
            elif ":late:" in key:
                raise Violation(f"{key}: {amount} came to light after {job} was settled")
            else:
                case.closing[word] = amount
                closing = job
        if closing:
            self._judge_close(closing)
        if rows:
            self.tally.alerts = self._alerts.judge()

    def _judge_month(self, key: str, case: Case, book: Book) -> None:
        wanted = (case.team, months.month(self.zones[case.team], self.wall()))
        if (book.team, book.month) != wanted:
            raise Violation(
                f"{key} is in the month {book.month} of {book.team}, expected was {wanted[1]} of {wanted[0]}"
            )

    def _book(self, period: int) -> Book:
        if period not in self.books:
            team, month = self._db.execute("SELECT team_id, month FROM period WHERE id = ?", (period,)).fetchone()
            self.books[period] = Book(team=team, month=month, cap=self.caps[team])
        return self.books[period]

    def _judge_hold(self, job: str, case: Case, book: Book, key: str, amount: int) -> None:
        if ":overdue:" in key:
            self._judge_overdue(job, case, key, amount)
        elif ":extend:" in key:
            longer = case.minutes + case.extending
            wanted = {max(0, worst(case.ask, one, longer, capped=False) - case.held): one for one in case.terms}
            self._expected(key, amount, wanted)
            case.terms = [one for one in case.terms if worst(case.ask, one, longer, capped=False) - case.held <= amount]
            self._judge_extender(case, book, key, amount)
        else:
            if case.first is not None:
                raise Violation(f"{key}: {job} holds twice")
            # A lead's shorter time is known by now: it is told before the press.
            matching = [one for one in case.terms if worst(case.ask, one, case.minutes) == amount]
            self._expected(
                f"{key} ({case.ask})", amount, {worst(case.ask, one, case.minutes): one for one in case.terms}
            )
            case.terms, case.first = matching, amount
            case.asks_lead = self._asks_lead(case, book, amount)
        case.held += amount
        book.held += amount
        if ":overdue:" not in key and amount and book.held + book.spent > book.cap + book.granted:
            raise Violation(f"{key}: {book.held} held and {book.spent} spent of {book.cap} + {book.granted}")
        self._alerts.expect(book)

    def _asks_lead(self, case: Case, book: Book, amount: int) -> str:
        """Return why a hold of that size needs a lead's word; nothing where it may start at once."""
        others = [
            one
            for one in self.cases.values()
            if one is not case and (one.person, one.team) == (case.person, case.team) and one.period is not None
        ]
        used = sum(one.held + (one.charged or 0) for one in others if self.books[one.period or 0] is book)
        if amount >= AUTO_APPROVE:
            return f"it may cost {amount}"
        if 2 * (used + amount) > self.caps[case.team]:
            return f"its person has {used} of {self.caps[case.team]} already"
        return ""

    def _judge_extender(self, case: Case, book: Book, key: str, amount: int) -> None:
        """A job is extended by its person or a lead; by a lead where a rental of that size takes one, nobody's own."""
        by = case.extender
        if by is None or not (by.lead or by.id == case.person):
            raise Violation(f"{key}: {by} may not extend a job of {case.person}'s")
        why = self._asks_lead(case, book, case.held + amount)
        if why and not (by.lead and by.id != case.person):
            raise Violation(f"{key}: {by} may not extend it, a lead has to: {why}")

    def _judge_overdue(self, job: str, case: Case, key: str, amount: int) -> None:
        now = self._now()
        # A machine whose launch was never answered may stand, as far as anybody can know: what counts is that its call
        # was about to be made, which the rows alone tell.
        rows = self._db.execute(
            "SELECT provider, deadline, called_at FROM attempt WHERE job_id = ? AND called_at IS NOT NULL", (job,)
        ).fetchall()
        deadline = case.deadline or max((_moment(deadline) for _, deadline, _ in rows), default=None)
        if deadline is None or now <= deadline:
            raise Violation(f"{key}: {job} is not past its deadline {deadline}")
        rate = max(one.ceiling for one in case.terms)
        clouds = [(self._fleet.clouds[name], _moment(called)) for name, _, called in rows]
        most = sum(price(rate, case.ask.disk_gb, now - called, cloud.traits) for cloud, called in clouds)
        if case.held + amount > most:
            raise Violation(f"{key}: {case.held + amount} held, and no more than {most} can be owed")
        self.tally.overdue += 1

    def _judge_release(self, case: Case, book: Book, key: str, amount: int) -> None:
        if key.endswith(":shorter"):
            wanted = {case.held - min(case.held, worst(case.ask, one, case.minutes)): one for one in case.terms}
            self._expected(key, amount, wanted)
        if amount > case.held:
            raise Violation(f"{key} gives back more than is held")
        case.held -= amount
        book.held -= amount

    @staticmethod
    def _expected(key: str, amount: int, wanted: dict[int, Terms]) -> None:
        if amount not in wanted:
            raise Violation(f"{key} is {amount}, expected was one of {sorted(wanted)}")

    def _judge_close(self, job: str) -> None:
        case = self.cases[job]
        book = self.books[case.period or 0]
        found = {name: case.closing.get(name, 0) for name in ("charge", "release", "overrun", "revoke")}
        if "charge" not in case.closing:
            raise Violation(f"{job} was closed without a charge: {case.closing}")
        total = found["charge"] + found["overrun"]
        least, most = self._due(case)
        if not least <= total <= most:
            raise Violation(f"{job} is charged {total}; billed was {least}" + (f" to {most}" if most > least else ""))
        covered = min(total, case.held)
        wanted = {
            "charge": covered,
            "release": case.held - covered,
            "overrun": total - covered,
            "revoke": min(case.granted, case.held - covered),
        }
        if found != wanted:
            raise Violation(f"{job} was closed as {found}, expected was {wanted}")
        book.held -= case.held
        book.spent += total
        book.granted -= wanted["revoke"]
        case.held, case.charged = 0, total
        case.closing = {}
        self.tally.closed += 1
        self.tally.crossed += months.month(self.zones[case.team], self.wall()) != book.month
        self._alerts.expect(book)

    def _due(self, case: Case) -> tuple[int, int]:
        """Return the least and the most that a job may be charged now: they differ where a cloud forgot a machine."""
        least = most = 0
        for key in case.keys:
            low, high = self._fleet.billed(key, self._now())
            least, most = least + low, most + high
        return least, most

    def _judge_periods(self) -> None:
        for row in self._db.execute("SELECT id, cap, granted, held, spent FROM period"):
            book = self._book(row[0])
            if row[1:] != (book.cap, book.granted, book.held, book.spent):
                raise Violation(f"month {row[0]} says {row[1:]}, the books say {book}")

    def _judge_jobs(self) -> None:
        active = self._open_jobs()
        for job in self._active - active:
            case = self.cases[job]
            if case.first is not None and case.charged is None:
                raise Violation(f"{job} has ended and its hold of {case.held} is open")
            if any(machine.alive(self._now()) for _, machine in self._fleet.of(case)):
                raise Violation(f"{job} has ended and its machine runs")
        self._active = active

    def _open_jobs(self) -> set[str]:
        rows = self._db.execute(
            "SELECT id FROM job WHERE state NOT IN "
            "('SUCCEEDED', 'FAILED', 'CANCELLED', 'TIMED_OUT', 'DENIED', 'EXPIRED')"
        )
        return {job for (job,) in rows}


def weak(traits: Traits, otherwise: str) -> str:
    """Return why a lead has to agree to a machine of that cloud."""
    if traits.bills and traits.guarantee in (Guarantee.ON_BOX, Guarantee.NONE):
        return f"nobody but us ends machines of {traits.name}"
    return otherwise


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)

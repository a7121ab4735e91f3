"""Events and logs on their way: in order, whole, bounded, whatever the store does."""

from __future__ import annotations

import gzip
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.fakes import HandClock, Moody
from tests.trainer.rented import until
from trainer import logs, wire
from trainer.events import Reporter, shed
from trainer.logs import LogShip
from trainer.ship import Abandoned, Shipper
from trainer.wire import Event, EventKind

SOON = (0.01,)


def key(number: int) -> str:
    return wire.event_key("J1", 1, number)


def told(store: Moody) -> list[Event]:
    chunks = [store.get(name) or b"" for name in store.keys("jobs")]
    return [wire.from_json(Event, line) for chunk in chunks for line in chunk.splitlines()]


@pytest.fixture
def store(tmp_path: Path) -> Moody:
    return Moody(tmp_path)


def test_a_chunk_that_was_written_without_an_answer_is_sent_again_as_it_was(store: Moody) -> None:
    shipper = Shipper(store, key, delays=SOON)
    store.lying = 2
    shipper.ship(b"one\n")
    shipper.ship(b"two\n")
    assert [store.get(key(number)) for number in (1, 2, 3)] == [b"one\n", b"two\n", None]


@pytest.mark.parametrize("taken", [0, 1, 2, 3, 7, 8, 21])
def test_a_machine_that_starts_again_goes_on_behind_what_it_finds(store: Moody, taken: int) -> None:
    for number in range(1, taken + 1):
        store.put(key(number), b"before\n")
    Shipper(store, key, delays=SOON).ship(b"after\n")
    assert store.get(key(taken + 1)) == b"after\n"
    assert [store.get(key(number)) for number in range(1, taken + 1)] == [b"before\n"] * taken


def test_what_is_abandoned_says_so(store: Moody) -> None:
    store.away = True
    shipper = Shipper(store, key, delays=SOON)
    shipper.abandon()
    with pytest.raises(Abandoned):
        shipper.ship(b"one\n")


def test_milestones_go_at_once_and_the_rest_in_its_time(store: Moody) -> None:
    reporter = Reporter(store, key, every=3600.0, delays=SOON)
    reporter.tell(EventKind.METRIC, {"step": 1, "values": {"loss": 1.0}})
    assert told(store) == []
    reporter.tell(EventKind.STAGE, {"stage": "run", "note": ""})
    until(lambda: told(store))
    assert [event.kind for event in told(store)] == [EventKind.METRIC, EventKind.STAGE]
    assert reporter.close(5.0)


def test_an_outage_costs_measurements_and_no_milestone_and_blocks_nobody(store: Moody) -> None:
    reporter = Reporter(store, key, every=3600.0, delays=SOON, limit=100)
    store.away = True
    reporter.tell(EventKind.STAGE, {"stage": "run", "note": ""})
    store.tried.acquire(timeout=5.0)
    began = time.monotonic()
    for step in range(1, 1001):
        reporter.tell(EventKind.METRIC, {"step": step, "values": {"loss": 1.0}})
        if step % 100 == 0:
            reporter.tell(EventKind.CHECKPOINT, {"name": f"step-{step:06d}"})
    assert time.monotonic() - began < 5.0
    store.away = False
    reporter.tell(EventKind.OUTCOME, {"reason": "finished"})
    assert reporter.close(10.0)
    kinds = [event.kind for event in told(store)]
    assert kinds.count(EventKind.CHECKPOINT) == 10
    assert (kinds[0], kinds.count(EventKind.STAGE), kinds.count(EventKind.OUTCOME)) == (EventKind.STAGE, 1, 1)
    steps = [event.data["step"] for event in told(store) if event.kind is EventKind.METRIC]
    assert steps == sorted(steps)
    assert (len(steps) <= 100, steps[-1]) == (True, 1000)
    notice = next(event for event in told(store) if event.kind is EventKind.NOTICE)
    assert notice.data["text"].startswith(f"{1000 - len(steps)} measurements were left out")


def test_what_no_json_can_hold_becomes_a_notice_and_not_an_error(store: Moody) -> None:
    reporter = Reporter(store, key, every=3600.0, delays=SOON)
    reporter.tell(EventKind.METRIC, {"step": 1, "values": {"loss": float("nan")}})
    assert reporter.close(5.0)
    assert [event.data["code"] for event in told(store)] == ["unreadable"]


def test_a_store_that_stays_away_is_said_to_have_left_something_behind(store: Moody) -> None:
    reporter = Reporter(store, key, every=0.01, delays=SOON)
    store.away = True
    reporter.notice("x", "y")
    assert reporter.close(0.2) is False


def test_shedding_gives_up_the_oldest_metrics_first_and_milestones_never() -> None:
    kinds = [EventKind.STAGE, EventKind.METRIC, EventKind.HEARTBEAT, EventKind.PROGRESS, EventKind.METRIC]
    events = [Event(t=float(t), kind=kind, data={}) for t, kind in enumerate(kinds)]
    assert [event.t for event in shed(events, 4)] == [0.0, 2.0, 3.0, 4.0]
    assert [event.t for event in shed(events, 2)] == [0.0, 2.0]
    assert [event.t for event in shed(events, 0)] == [0.0]


def log_of(store: Moody) -> str:
    return b"".join(gzip.decompress(store.get(name) or b"") for name in store.keys("jobs")).decode()


def noise(lines: int) -> list[str]:
    """Return lines of a kilobyte that nothing makes much shorter."""
    chance = random.Random(1)
    return [chance.randbytes(512).hex() for _ in range(lines)]


def a_log(store: Moody, **more: Any) -> LogShip:
    return LogShip(store, key, notice=lambda code, text: None, delays=SOON, **more)


def test_a_long_log_is_kept_whole_and_packed(store: Moody) -> None:
    log = a_log(store, every=3600.0)
    lines = [f"{number:08d} " + "x" * 16_000 for number in range(3_000)]
    for line in lines:
        log.write(line)
    assert log.close(60.0)
    assert log_of(store).splitlines() == lines
    assert sum(len(store.get(name) or b"") for name in store.keys("jobs")) < 2_000_000
    assert max(len(gzip.decompress(store.get(name) or b"")) for name in store.keys("jobs")) <= logs.MOST


def test_that_a_log_is_full_is_told_once(store: Moody) -> None:
    told: list[tuple[str, str]] = []
    log = LogShip(store, key, notice=lambda *words: told.append(words), every=3600.0, delays=SOON, cap=100_000)
    for line in noise(97):
        log.write(line)
    assert told == []
    for line in noise(20):
        log.write(line)
    assert [code for code, _ in told] == ["log_full"]
    assert log.close(10.0)


def test_a_log_keeps_its_beginning_and_its_end_and_counts_what_lies_between(store: Moody) -> None:
    log = a_log(store, every=3600.0, cap=10_000)
    lines = [f"line {number:06d}" for number in range(60_000)]
    for line in lines:
        log.write(line)
    assert log.close(10.0)
    text = log_of(store)
    kept = [line for line in text.splitlines() if line.startswith("line")]
    assert (kept[0], kept[-1]) == (lines[0], lines[-1])
    (said,) = [line for line in text.splitlines() if line.startswith("[hourglass")]
    left_out = (len(lines) - len(kept)) * len("line 000000\n")
    assert said == f"[hourglass: {left_out:,} bytes of output are left out here]"
    assert len(text) < 10_000 + logs.TAIL + 100


def test_a_log_waits_in_bounded_memory_while_the_store_is_away(store: Moody) -> None:
    log = a_log(store, every=0.01, backlog=1_000_000)
    store.away = True
    lines = noise(5_000)
    for line in lines:
        log.write(line)
    store.away = False
    until(lambda: len(log_of(store)) > 1_000_000)
    log.write("after")
    assert log.close(10.0)
    text = log_of(store)
    assert "bytes of output are left out here" in text
    assert text.endswith(f"{lines[-1]}\nafter\n")
    assert len(text) < 2_000_000 + logs.CHUNK + logs.TAIL  # a million packed, of what packs to half


def test_chunks_of_a_long_run_come_less_often(store: Moody) -> None:
    clock = HandClock()
    log = a_log(store, every=0.01, clock=clock)
    log.write("early")
    until(lambda: log_of(store) == "early\n")
    clock.now += 7200.0
    log.write("on the way")
    until(lambda: log_of(store).endswith("on the way\n"))
    log.write("late")
    assert log_of(store).endswith("on the way\n")
    assert log.close(5.0)
    assert log_of(store).endswith("late\n")

"""Threads that write come in turn: the impatient first, equals as they came, and who gives up is forgotten."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from jobs.turns import Turns


def queued(turns: Turns, patience: float | None, then: Callable[[], None]) -> threading.Thread:
    """Start a thread that waits for its turn, and return once it stands in the queue."""
    before = len(turns._queue)

    def run() -> None:
        if turns.acquire(patience):
            then()
            turns.release()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    limit = time.monotonic() + 10
    while len(turns._queue) == before:
        assert time.monotonic() < limit, "it does not queue"
        time.sleep(0.001)
    return thread


def test_the_least_patient_goes_first_and_equals_as_they_came() -> None:
    turns, order = Turns(), list[str]()
    assert turns.acquire()
    asked = [("pass", None), ("first", 30.0), ("second", 30.0), ("command", 10.0)]
    threads = [queued(turns, patience, lambda name=name: order.append(name)) for name, patience in asked]
    turns.release()
    for thread in threads:
        thread.join(10)
    assert order == ["command", "first", "second", "pass"]


def test_who_writes_again_and_again_lets_the_others_in_between() -> None:
    turns, order = Turns(), list[str]()
    assert turns.acquire()
    other = queued(turns, 30.0, lambda: order.append("other"))
    turns.release()
    assert turns.acquire(30.0)
    order.append("again")
    turns.release()
    other.join(10)
    assert order == ["other", "again"]


def test_who_gives_up_is_told_and_leaves_no_hole_in_the_queue() -> None:
    turns, order = Turns(), list[str]()
    assert turns.acquire()
    patient = queued(turns, None, lambda: order.append("patient"))
    assert not turns.acquire(0.01)
    turns.release()
    patient.join(10)
    assert order == ["patient"]
    assert turns.acquire(0.01)

"""How far back a log is read for an answer."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bot import logbook
from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.views import answers
from jobs.errors import NotFound, StoreError
from jobs.lifecycle import JobState
from tests.face.scenes import attempt, facts
from trainer.storage import FolderStore
from trainer.wire import log_key


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def a_job(store: FolderStore, *chunks: str, number: int = 1) -> JobFacts:
    """Return a job whose attempt `number` has said so much."""
    known = facts(attempts=tuple(attempt(number=one) for one in range(1, number + 1)))
    for at, text in enumerate(chunks, 1):
        store.put(log_key(known.job.id, number, at), gzip.compress(text.encode()))
    return known


def test_the_newest_lines_come_in_their_order_from_as_many_chunks_as_they_fill(store: FolderStore) -> None:
    known = a_job(store, *(f"line {at}\nline {at}b\n" for at in range(100)))
    expected = [f"line {at}{half}" for at in range(80, 100) for half in ("", "b")]
    assert logbook.read(store, known, None).lines == expected


def test_of_many_lines_with_a_word_the_newest_are_shown(store: FolderStore) -> None:
    known = a_job(store, *(f"needle {at}\n" + "hay\n" * 99 for at in range(100)))
    assert logbook.read(store, known, "NEEDLE").lines == [f"needle {at}" for at in range(60, 100)]


@pytest.mark.parametrize("line", ["a n\u200beedle", "100%|██| needle", "old\rneedle"])
def test_a_word_is_found_in_what_people_see(store: FolderStore, line: str) -> None:
    known = a_job(store, line + "\n", "hay\n")
    assert [one[-6:] for one in logbook.read(store, known, "needle").lines] == ["needle"]


def test_a_word_that_was_drawn_over_is_not_found(store: FolderStore) -> None:
    assert logbook.read(store, a_job(store, "needle\rhay\n"), "needle") == logbook.Page(looked=11)


def test_where_a_log_is_too_long_to_search_the_answer_says_how_far_it_looked(store: FolderStore) -> None:
    known = a_job(store, "needle\n", *["hay\n" * 1000] * 9)
    page = logbook.read(store, known, "needle", most=12_000)
    assert (list(page.lines), page.whole) == ([], False)
    assert 12_000 <= page.looked <= 36_000
    told = answers.logs(Catalogue.load(), known, page, "needle").text
    assert "No line in the newest" in told
    assert "what is older was not searched" in told

    page = logbook.read(store, known, "needle")
    assert (page.lines, page.whole) == (["needle"], True)


def test_a_log_from_before_chunks_were_packed_is_read(store: FolderStore) -> None:
    known = a_job(store)
    store.put(log_key(known.job.id, 1, 1).removesuffix(".gz"), b"line\n")
    assert logbook.read(store, known, None).lines == ["line"]


def test_a_chunk_that_is_none_or_unpacks_to_a_flood_does_not_harm(store: FolderStore) -> None:
    known = a_job(store, "line\n")
    whole = gzip.compress(b"one\n") + gzip.compress(b"two\n")
    store.put(log_key(known.job.id, 1, 2), whole + b"rubbish")
    store.put(log_key(known.job.id, 1, 3), gzip.compress(b"three\n" * 100)[:-20])
    store.put(log_key(known.job.id, 1, 4), gzip.compress(b" " * 50_000_000))
    page = logbook.read(store, known, "e")
    assert list(page.lines[:2]) == ["line", "one"]
    assert page.looked < 2 * logbook.CHUNK


def test_a_log_is_gathered_into_one_object(store: FolderStore) -> None:
    known = a_job(store, *(f"line {at}\n" for at in range(12)))
    store.put(log_key(known.job.id, 1, 13).removesuffix(".gz"), b"as it was\n")
    key, size = logbook.gathered(store, known.job.id, 1, 0)
    assert key == f"jobs/{known.job.id}/a1/log.txt.gz"
    data = store.get(key) or b""
    assert len(data) == size
    assert gzip.decompress(data).decode().splitlines() == [*(f"line {at}" for at in range(12)), "as it was"]
    assert len(logbook.read(store, known, None).lines) == 13


def test_more_than_an_agent_keeps_is_not_gathered(store: FolderStore) -> None:
    known = a_job(store, "one\n", "two\n")
    with pytest.raises(StoreError, match="longer than any log"):
        logbook.gathered(store, known.job.id, 1, 0, most=30)


def test_of_a_log_that_is_gone_no_empty_file_is_made(store: FolderStore) -> None:
    with pytest.raises(NotFound, match="no log in the store any more"):
        logbook.gathered(store, "job0001", 1, 0)
    assert list(store.keys("")) == []


def test_a_log_with_a_piece_that_is_gone_is_not_gathered_or_searched_as_if_it_were_whole(store: FolderStore) -> None:
    known = a_job(store, "one\n", "two\n")
    (store.root / "jobs" / known.job.id / "a1" / "log" / "00000001.txt.gz").unlink()
    whole = [log_key(known.job.id, 1, 1), log_key(known.job.id, 1, 2)]
    store.keys = lambda prefix: iter(whole)  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="is no longer there"):
        logbook.gathered(store, known.job.id, 1, 0)
    with pytest.raises(StoreError, match="cannot be read right now"):
        logbook.read(store, known, "one")


@pytest.mark.parametrize("grep", [None, "needle"])
@pytest.mark.parametrize(
    ("known", "told"),
    [
        (facts(JobState.AWAITING_APPROVAL), "`k7m2pqx` has said nothing yet: waiting for a lead."),
        (facts(stage="setup"), "`k7m2pqx` has said nothing yet: running the setup."),
        (
            facts(JobState.DENIED, decided_by="U9LEAD", decision_note="too dear"),
            "`k7m2pqx` has said nothing: denied by <@U9LEAD>: too dear.",
        ),
        (
            facts(JobState.FAILED, outcome={"reason": "bad_source"}),
            "`k7m2pqx` has said nothing: failed: the commit could not be used.",
        ),
    ],
)
def test_of_a_job_without_a_log_it_is_said_why(
    store: FolderStore, known: JobFacts, told: str, grep: str | None
) -> None:
    assert answers.logs(Catalogue.load(), known, logbook.read(store, known, grep), grep).text == told


@pytest.mark.parametrize("grep", ["loss|acc", "[unclosed(", "step \\d+", "loss.*nan", "^step"])
def test_what_looks_like_a_pattern_and_is_not_found_is_answered_with_how_it_was_looked_for(
    store: FolderStore, grep: str
) -> None:
    known = a_job(store, "step 1: loss 2.0\n")
    told = answers.logs(Catalogue.load(), known, logbook.read(store, known, grep), grep).text
    assert told.startswith("No line of `k7m2pqx` holds `")
    assert "as it stands: it is no pattern." in told
    plain = answers.logs(Catalogue.load(), known, logbook.read(store, known, "val_loss 3.5"), "val_loss 3.5").text
    assert "pattern" not in plain

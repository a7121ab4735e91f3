"""The detectors against what real trainers printed; `docs/detectors-measured.md` says how it was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.detectors import CORPUS, said_in, score

SEEN, UNSEEN, OTHER = (sorted((CORPUS / part).glob("*.txt")) for part in ("seen", "unseen", "other"))


def test_the_corpus_is_as_large_as_the_figures_say() -> None:
    assert sum(len(said_in(path)) for path in (*SEEN, *UNSEEN)) >= 150
    assert len(OTHER) >= 20


@pytest.mark.parametrize("path", SEEN, ids=lambda path: path.stem)
def test_every_metric_line_of_the_trainers_it_was_written_against_is_read(path: Path) -> None:
    found = score(path)
    assert (found.wrong, found.right, found.false) == ((), found.metrics, 0)
    assert found.totals_right == found.totals


@pytest.mark.parametrize("path", UNSEEN, ids=lambda path: path.stem)
def test_nearly_every_metric_line_of_the_others_is_read_and_nothing_else(path: Path) -> None:
    found = score(path)
    assert found.metrics - found.right <= max(1, 0.2 * found.metrics)
    assert found.false == 0


@pytest.mark.parametrize("path", OTHER, ids=lambda path: path.stem)
def test_nothing_is_read_out_of_a_log_that_is_no_training(path: Path) -> None:
    found = score(path)
    assert (found.wrong, found.false) == ((), 0)
    assert found.lines > 0

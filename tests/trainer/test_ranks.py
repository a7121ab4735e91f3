"""Of processes that print the same lines beside each other one is read, where the lines say whose they are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.trainer.reading import fed
from trainer.declared import Declared
from trainer.detect import Detector
from trainer.ranks import Ranks

FORMS = [
    "Rank {rank} | step {step} | loss {loss}",
    "[Rank {rank}] step {step}/400: loss {loss}, 45.2 ms",
    "rank{rank}: step {step} loss {loss}",
    "2026-11-30 13:42:46,880 | INFO | rank={rank} | epoch 1 step {step} | loss: {loss}",
    "(rank {rank}/4) Epoch: [1][{step}/400] Loss {loss}",
    "[GPU{rank}] Epoch {step} | loss {loss}",
    "step {step} loss {loss} device: cuda:{rank}",
    'INFO {{"rank": {rank}, "step": {step}, "loss": {loss}}}',
    '{{"step": {step}, "loss": {loss}, "local_rank": {rank}}}',
    "rank {rank} step {step} loss {loss}",
    "Rank {rank} - step {step} - loss {loss}",
]


def printed(form: str, ranks: Sequence[int], steps: int = 6) -> list[str]:
    """Return what the ranks print, in that order: each its own loss."""
    lines = []
    for step in range(1, steps + 1):
        lines += [form.format(rank=rank, step=step, loss=f"{9 - step}.{rank}5") for rank in ranks]
    return lines


def losses(lines: Sequence[str]) -> list[float]:
    return [found.values["loss"] for found in fed(*lines) if "loss" in found.values]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ranks", [(0, 1), (1, 0), (0, 1, 2, 3), (3, 1, 0, 2), (2, 3)])
def test_the_lowest_is_read_alone_once_they_were_seen_to_tell_the_same(form: str, ranks: Sequence[int]) -> None:
    found = losses(printed(form, ranks))
    assert found[-4:] == [float(f"{9 - step}.{min(ranks)}5") for step in range(3, 7)]
    assert len(found) <= 2 * len(ranks) + 4


@pytest.mark.parametrize("form", FORMS)
def test_one_process_is_read_whatever_its_number(form: str) -> None:
    assert len(losses(printed(form, (3,)))) == 6


def test_what_the_others_tell_without_a_count_is_left_as_well() -> None:
    lines = [*printed(FORMS[0], (0, 1)), "Rank 1 | val loss 3.0", "Rank 0 | val loss 2.0"]
    assert [found.values["val_loss"] for found in fed(*lines) if "val_loss" in found.values] == [2.0]


@pytest.mark.parametrize(
    "lines",
    [
        # LoRA's ranks, tried one after another: no two of them train beside each other.
        [line for rank in (4, 8) for line in printed("rank={rank}, epoch {step}: loss {loss}", (rank,))],
        # Of who else is told: the share of answers among the first k.
        [line for epoch in range(6) for line in (f"Epoch {epoch} Rank-1: 0.9{epoch}", f"Epoch {epoch} Rank-5: 0.95")],
        [line for epoch in range(6) for line in (f"epoch {epoch} rank 1: 0.9{epoch}", f"epoch {epoch} rank 5: 0.95")],
    ],
)  # fmt: skip
def test_what_only_looks_like_one_stays(lines: Sequence[str]) -> None:
    ranks = Ranks()
    assert [line for line in lines if ranks.is_anothers(line)] == []


def test_a_line_that_the_team_described_is_read_as_it_says() -> None:
    detector = Detector(declared=Declared(["Rank 1 | step {step} | loss {loss}"]))
    found = [one for line in printed(FORMS[0], (0, 1)) if (one := detector.feed(line)) and one.moved]
    assert [one.values["loss"] for one in found[1:]] == [8.15, 7.15, 6.15, 5.15, 4.15, 3.15]


def test_ranks_that_are_tried_out_are_no_processes() -> None:
    lines = [f"epoch {epoch} | rank {rank} | loss 0.{epoch}{rank}" for epoch in (1, 2, 3) for rank in (4, 8)]
    assert len(fed(*lines)) == len(lines)

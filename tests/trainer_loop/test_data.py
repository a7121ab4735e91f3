"""The order of the samples is a function of the seed and of one integer."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import numpy.random
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import torches

torches.require()
pytestmark = torches.ONE_WORKER


def setup_module() -> None:
    global torch, Batches, Windows, draw_from, plan
    import torch

    from trainer.data import Batches, draw_from, plan
    from trainer.model import Windows


@given(samples=st.integers(1, 40), seed=st.integers(0, 9), position=st.integers(0, 200), cut=st.integers(0, 30))
def test_a_plan_goes_on_where_it_was_cut(samples: int, seed: int, position: int, cut: int) -> None:
    whole = plan(samples, seed, position, 30)
    assert plan(samples, seed, position, cut) + plan(samples, seed, position + cut, 30 - cut) == whole


@given(samples=st.integers(1, 40), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_an_epoch_has_each_sample_once(samples: int, seed: int, epoch: int) -> None:
    keys = plan(samples, seed, epoch * samples, samples)
    assert sorted(keys) == [(epoch, index) for index in range(samples)]


def test_epochs_are_shuffled_apart() -> None:
    assert [key[1] for key in plan(50, 1, 0, 50)] != [key[1] for key in plan(50, 1, 50, 50)]


class Drawn:
    """Samples that draw from torch's and from Python's chance."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return torch.tensor(index), torch.rand(()), torch.tensor(random.random())


def drawn(position: int, count: int, **changes: int) -> list[list[float]]:
    batches = Batches(dataset=Drawn(), seed=1, **{"global_batch": 2, "workers": 0} | changes)
    rows = [torch.stack([part.double() for part in batch]).T for batch in islice(batches(position), count)]
    return [row.tolist() for row in torch.cat(rows)]


def test_a_sample_draws_the_same_wherever_it_is_fetched() -> None:
    whole = drawn(0, 10)
    assert drawn(8, 6) == whole[8:]
    assert drawn(0, 5, global_batch=4) == whole
    first, second = (drawn(0, 5, global_batch=4, world=2, rank=rank) for rank in (0, 1))
    assert [row for start in range(0, 10, 2) for row in first[start : start + 2] + second[start : start + 2]] == whole


def test_another_epoch_draws_anew() -> None:
    rows = drawn(0, 10)
    first, second = ({row[0]: row[1:] for row in part} for part in (rows[:10], rows[10:]))
    assert first.keys() == second.keys()
    assert all(first[index] != second[index] for index in first)


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing() -> None:
    assert drawn(0, 10, workers=2) == drawn(0, 10)


def test_all_chance_is_drawn_from_the_parts_and_from_nothing_before() -> None:
    def drawn_from(*parts: int) -> tuple[float, ...]:
        draw_from(*parts)
        return torch.rand(()).item(), random.random(), float(numpy.random.random())

    first, others = drawn_from(1, 2), drawn_from(2, 1)
    assert all(one != other for one, other in zip(first, others, strict=True))
    drawn(0, 4)
    assert drawn_from(1, 2) == first


def test_windows_are_inputs_and_what_comes_next() -> None:
    windows = Windows(torch.arange(100).to(torch.uint16), 8)
    for index in range(len(windows)):
        ids, targets = windows[index]
        assert (len(ids), len(targets), (targets - ids).tolist()) == (8, 8, [1] * 8)


def test_too_short_a_text_is_refused() -> None:
    with pytest.raises(ValueError, match=r"16 tokens are too few for windows of 8"):
        Windows(torch.arange(16), 8)

"""A GPU that was too small: what PyTorch said, what to change first, and which machine has room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobs.errors import ProviderError, Scope
from jobs.offers import Desk, Survey
from jobs.providers import Need, Offer
from jobs.roomier import elsewhere, larger
from jobs.shortage import Shortage, Step, read, steps
from jobs.values import SpotPolicy
from tests.support.builders import a_spec, an_offer, some_traits
from tests.support.house import Priced

GIB, MIB = 2**30, 2**20
NEW = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.25 GiB of"
    " which 1.50 GiB is free. Process 4242 has 77.75 GiB memory in use. Of the allocated memory 70.00 GiB is allocated"
    " by PyTorch, and 7.00 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try"
    " setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
)
PROCESS = (
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 23.64"
    " GiB of which 19.69 MiB is free. Including non-PyTorch memory, this process has 23.62 GiB memory in use. Of the"
    " allocated memory 23.10 GiB is allocated by PyTorch, and 61.31 MiB is reserved by PyTorch but unallocated."
)
OLD = (
    "RuntimeError: CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 15.78 GiB total capacity; 14.00 GiB already"
    " allocated; 324.75 MiB free; 14.50 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try"
    " setting max_split_size_mb to avoid fragmentation."
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (NEW, Shortage(asked=2 * GIB, total=int(79.25 * GIB), free=int(1.5 * GIB), allocated=70 * GIB, unused=7 * GIB)),
        (
            PROCESS,
            Shortage(
                asked=20 * MIB,
                total=int(23.64 * GIB),
                free=int(19.69 * MIB),
                allocated=int(23.10 * GIB),
                unused=int(61.31 * MIB),
            ),
        ),
        (
            OLD,
            Shortage(
                asked=512 * MIB,
                total=int(15.78 * GIB),
                free=int(324.75 * MIB),
                allocated=14 * GIB,
                unused=int(14.5 * GIB) - 14 * GIB,
            ),
        ),
        (
            "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            Shortage(asked=2 * GIB, total=None, free=None, allocated=None, unused=None),
        ),
    ],
    ids=["2.5", "2.1", "1.x", "short"],
)
def test_what_pytorch_said_is_read(line: str, expected: Shortage) -> None:
    assert read(["Traceback (most recent call last):", line, "and more"]) == expected
    assert read(["CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED"]) == Shortage()


def test_pieces_come_first_where_they_would_have_been_enough_and_sharding_only_with_several_gpus() -> None:
    pieces, full = read([NEW]), read([PROCESS])
    one = steps(full, a_spec(gpus=1))
    assert steps(Shortage(), a_spec(gpus=1)) == one
    assert one == [Step.MICRO_BATCH, Step.BF16, Step.CHECKPOINTING, Step.OPTIMIZER, Step.LORA]
    assert steps(full, a_spec(gpus=4)) == [*one, Step.SHARDING]
    assert steps(pieces, a_spec(gpus=1)) == [Step.SEGMENTS, *one]


def stocked(*offers: Offer) -> Desk:
    """Return the desk of one provider that has these."""
    provider = Priced(some_traits())
    provider.stock = offers
    return Desk({"cloud": provider})


A100 = an_offer(gpu="a100", memory_gb=40, micros_per_hour=3)
A100_80 = an_offer(gpu="a100", memory_gb=80, micros_per_hour=5)
H100 = an_offer(gpu="h100", memory_gb=80, micros_per_hour=4)
H200 = an_offer(gpu="h200", memory_gb=141, micros_per_hour=9)


@pytest.mark.parametrize(
    ("had", "needed", "stock", "expected"),
    [
        (40, 50 * GIB, [A100, A100_80, H100, H200], ("h100", H100)),
        (40, 50 * GIB, [A100, A100_80, H200], ("a100-80gb", A100_80)),
        (40, 78 * GIB, [A100, A100_80, H100, H200], ("h200", H200)),  # what failed was not yet the peak
        (80, 90 * GIB, [A100, A100_80, H100], None),
        (24, 500 * GIB, [A100, H200], None),
    ],
)
def test_the_cheapest_machine_with_room_is_found(
    had: int, needed: int, stock: Sequence[Offer], expected: tuple[str, Offer] | None
) -> None:
    short = Shortage(asked=GIB, total=None, free=None, allocated=needed - GIB, unused=None)
    found = larger(stocked(*stock), a_spec(gpu="a100", gpus=1, providers=()), had, short)
    assert (found and (str(found.gpu), found.offer)) == expected


@pytest.mark.parametrize(
    ("asked", "stock", "expected"),
    [
        ({"gpu": "a100"}, [A100, A100_80, H100, H200], ("h100", H100)),
        ({"gpu": "h100", "gpu_memory_gb": 80}, [A100, A100_80, H100, H200], ("a100-80gb", A100_80)),
        ({"gpu": "h200"}, [A100, A100_80, H100, H200], None),
        ({"gpu": "cpu"}, [A100], None),
    ],
)
def test_where_none_is_free_the_cheapest_with_other_gpus_of_no_less_memory_is_named(
    asked: dict[str, Any], stock: Sequence[Offer], expected: tuple[str, Offer] | None
) -> None:
    found = elsewhere(stocked(*stock), a_spec(gpus=1, providers=(), **asked))
    assert (found and (str(found.gpu), found.offer)) == expected


A100_SPOT, H100_SPOT = replace(A100, spot=True, micros_per_hour=1), replace(H100, spot=True, micros_per_hour=2)


@pytest.mark.parametrize(
    ("policy", "stock", "expected"),
    [
        (SpotPolicy.SPOT, [A100, A100_SPOT, H100, H100_SPOT], H100_SPOT),
        (SpotPolicy.SPOT, [A100, A100_SPOT, H100], A100),  # the same without the risk; H100s on demand nobody asked for
        (SpotPolicy.AUTO, [A100, H100, H100_SPOT], H100_SPOT),
        (SpotPolicy.ON_DEMAND, [A100, H100, H100_SPOT], H100),
    ],
)
def test_what_is_named_is_of_a_market_that_was_asked_for_and_says_so(
    policy: SpotPolicy, stock: Sequence[Offer], expected: Offer
) -> None:
    found = elsewhere(stocked(*stock), a_spec(gpu="a100", gpus=1, providers=(), spot=policy))
    assert found is not None
    assert (found.offer, found.spot is SpotPolicy.SPOT) == (expected, expected.spot)


class Silent:
    """A market whose providers do not answer."""

    def survey(self, need: Need, allowed: Sequence[str]) -> Survey:
        """Return their errors."""
        return Survey(offers=(), errors={"cloud": ProviderError("It did not answer.", scope=Scope.UNKNOWN)})


def test_nobody_is_offered_what_nobody_could_price() -> None:
    short = Shortage(asked=None, total=None, free=None, allocated=None, unused=None)
    assert larger(Silent(), a_spec(providers=()), 40, short) is None

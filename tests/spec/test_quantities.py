"""Times, sizes, money and GPUs as people write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import BadSpec
from jobs.gpus import GPU_NAMES, MEMORY_GB, Gpu, nearest, parse_gpu
from jobs.quantities import parse_count, parse_dollars, parse_gigabytes, parse_minutes, parse_seconds


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("4", 240.0),
        ("0.05", 3.0),
        (".5", 30.0),
        ("2m", 2.0),
        ("90m", 90.0),
        ("4h", 240.0),
        ("1h30m", 90.0),
        ("1.5H", 90.0),
        ("2hours", 120.0),
        ("1d", 1440.0),
        ("90s", 1.5),
        ("720", 43_200.0),
    ],
)
def test_lengths_of_time(text: str, minutes: float) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "-1", "+4", "1000000", "31d", "59s", "4 h", "nan", "inf", "1e3", "4h4h", "30m1h", "h", "٤"]
)
def test_lengths_of_time_that_are_none_or_absurd(text: str) -> None:
    with pytest.raises(BadSpec, match=r"`.*`"):
        parse_minutes(text)


def test_an_interval_needs_its_unit() -> None:
    assert (parse_seconds("30s"), parse_seconds("10m"), parse_seconds("1h30m")) == (30.0, 600.0, 5400.0)
    with pytest.raises(BadSpec, match="a number and its unit"):
        parse_seconds("10")
    with pytest.raises(BadSpec, match="more than nothing"):
        parse_seconds("0s")


def test_sizes_are_whole_gigabytes_rounded_up() -> None:
    assert [parse_gigabytes(text) for text in ("200GB", "200", "0.5TB", "512MB", "16GiB", "1T")] == [
        200,
        200,
        512,
        1,
        16,
        1024,
    ]
    for bad in ("", "big", "-1", "0", "100TB", "1e3"):
        with pytest.raises(BadSpec):
            parse_gigabytes(bad)


def test_money_is_exact_micro_dollars() -> None:
    assert [parse_dollars(text) for text in ("12", "$12", "2.50", "0.000001", "12usd", ".1")] == [
        12_000_000,
        12_000_000,
        2_500_000,
        1,
        12_000_000,
        100_000,
    ]
    for bad in ("", "-1", "1e3", "nan", "1,000", "0.0000001", "$"):
        with pytest.raises(BadSpec, match="is not an amount"):
            parse_dollars(bad)


def test_counts_stay_between_their_bounds() -> None:
    assert parse_count("16", least=1, most=16) == 16
    for bad in ("0", "17", "-1", "1.0", "", "9" * 30):
        with pytest.raises(BadSpec, match="from 1 to 16"):
            parse_count(bad, least=1, most=16)


READERS: list[Callable[[str], object]] = [parse_minutes, parse_seconds, parse_gigabytes, parse_dollars, parse_gpu]


@given(st.text(max_size=30), st.sampled_from(READERS))
def test_any_text_is_read_or_refused(text: str, read: Callable[[str], object]) -> None:
    try:
        read(text)
    except BadSpec as error:
        assert str(error)


# ---------------------------------------------------------------- GPUs


@pytest.mark.parametrize(
    ("text", "name", "memory", "count"),
    [
        ("a100", "a100", None, 1),
        ("A100:8", "a100", None, 8),
        ("a100-80gb:2", "a100", 80, 2),
        ("A100:80GB:1", "a100", 80, 1),
        ("A100:1:80GB", "a100", 80, 1),
        ("NVIDIA A100-SXM4-80GB", "a100", 80, 1),
        ("h100-pcie", "h100", None, 1),
        ("8xH100", "h100", None, 8),
        ("Tesla T4", "t4", None, 1),
        ("rtx-4090", "rtx4090", None, 1),
        ("RTX_3090", "rtx3090", None, 1),
        ("4090", "rtx4090", None, 1),
        ("cpu", "cpu", None, 0),
    ],
)
def test_gpus_as_people_write_them(text: str, name: str, memory: int | None, count: int) -> None:
    assert parse_gpu(text) == Gpu(name=name, memory_gb=memory, count=count)


@pytest.mark.parametrize(
    "text", ["", "a100:0", "a100:17", "a100-60gb", "a100:80gb:80gb", "a100:1:2", "cpu:2", "quantum", "a100:x"]
)
def test_gpus_that_are_none(text: str) -> None:
    with pytest.raises(BadSpec):
        parse_gpu(text)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("a1000", "a100"),
        ("v100", "a100"),
        ("l40", "l40s"),
        ("h10", "h100"),
        ("a1oo", "a100"),
        ("A1O", "a10"),
        ("hloo:8", "h100"),
        ("b200:8", "h200"),
        ("rtx4080", "rtx4090"),
        ("zzz", None),
    ],
)
def test_the_nearest_name_is_offered(typed: str, meant: str | None) -> None:
    assert nearest(typed) == meant


@given(st.sampled_from(GPU_NAMES), st.integers(1, 16), st.data())
def test_what_is_written_reads_back_as_the_same(name: str, count: int, data: st.DataObject) -> None:
    gpu = Gpu(name=name, memory_gb=data.draw(st.sampled_from([None, *MEMORY_GB[name]])), count=count)

    assert parse_gpu(str(gpu)) == gpu

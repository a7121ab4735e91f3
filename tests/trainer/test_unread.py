"""Lines that look like progress and that nothing read: what is suggested for the task file."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.taskfile import parse_task_file
from trainer.templates import parse
from trainer.unread import Suggestion, Unread


def suggested(lines: Iterable[str], told: int = 0) -> list[Suggestion]:
    unread = Unread()
    for line in lines:
        unread.take(line, told)
    return list(unread.suggestions())


@pytest.mark.parametrize(
    ("line", "template"),
    [
        (lambda n: f"{n} {1 / n:.4f}", "{step} {value}"),
        (lambda n: f"EP{n}\t{1 / n:.3f}\t{2 / n:.3f}", "EP{epoch} {value} {value_2}"),
        (lambda n: f"E{n // 4}b{n % 4} A<{1 / n:.3f}>", "E{epoch}b{batch} A<{value}>"),
        (
            lambda n: f"Ep {n // 5}/3 it {n % 5}/5 -- quality {1 / n:.4f} {{x}}",
            "Ep {epoch}/{epochs} it {batch}/{batches} -- quality {quality} {{x}}",
        ),
        (
            lambda n: f"at 12:00:{n:02} k={n * 20}/600: D {1 / n:.3f}, took 0.{n} s",
            "at {} k={step}/{steps}: D {d}, took {} s",
        ),
        (lambda n: f"[2026-11-30 12:00:{n:02},123] [INFO] drift <{1 / n:.3f}>", "drift <{drift}>"),
        (
            lambda n: f"gpu 0 top5 | {n}k | drift {n / 7:.3f} | lr 0.001",
            "gpu {} top5 | {step}k | drift {drift} | lr {lr}",
        ),
        (lambda n: f"[24714] at {n}: drift {n / 7:.3f}, 0.3s lr 0.1", "[{}] at {step}: drift {drift}, {}s lr {lr}"),
        (lambda n: f"Ep{n // 12} b {n % 12 * 3} drift {n / 7:.3f}", "Ep{epoch} b {batch} drift {drift}"),
        (lambda n: f"Ep{n // 12} b {n * 3} drift {n / 7:.3f}", "Ep{epoch} b {step} drift {drift}"),
        (lambda n: f"seen {n},000 of 90,000: D {n / 7:.3f}", "seen {step} of {steps}: D {d}"),
    ],
)
def test_a_form_becomes_a_line_of_the_task_file_that_reads_it(line, template: str) -> None:  # type: ignore[no-untyped-def]
    lines = [line(n) for n in range(1, 31)]
    (one,) = suggested(lines)
    assert (one.template, one.times, one.told) == (template, 30, 0)
    assert parse_task_file(one.setting).progress == (template,)
    assert all(parse(template).find(" ".join(text.split())) for text in lines)


@pytest.mark.parametrize(
    "line",
    [
        lambda n: f"epoch {n}",  # no fraction
        lambda n: f"took {n}.5 s",  # a unit
        lambda n: f"Collecting torch-2.{n}.0",  # a version
        lambda n: f"threshold 0.5 for class {n}",  # what measures never changes
        lambda n: f" {n}%|██   | {n}/20 [00:01<00:02, 1.5it/s]",
        lambda n: "x" * 400 + f" {n}.5",
        lambda n: f"ep {n} zl\u009b2J\u202e 0.{n}5",  # what steers a terminal, and is refused in a task file
        lambda n: f"saving out/params.{n}.5 now",
        lambda n: f"Param group {n}: lr {n / 7:.3f}",
    ],
)
def test_what_measures_nothing_is_not_suggested(line) -> None:  # type: ignore[no-untyped-def]
    assert suggested(line(n) for n in range(1, 21)) == []


def test_a_few_lines_are_not_enough() -> None:
    assert suggested(f"{n} {n / 7:.3f}" for n in range(3)) == []


def test_lines_that_are_read_in_part_are_suggested_if_they_hold_more() -> None:
    lines = [f"step {n}: loss {1 / n:.3f} drift {n / 7:.3f}" for n in range(1, 9)]
    (one,) = suggested(lines, told=1)
    assert (one.template, one.told) == ("step {step}: loss {loss} drift {drift}", 1)
    assert suggested(lines, told=2) == []
    assert suggested((f"{n} 0.{n} 1.{n}" for n in range(1, 9)), told=1) == []  # a row of a table has no words


def test_the_form_with_most_lines_comes_first_and_rare_ones_give_way() -> None:
    lines = [f"form{'abcdefghij'[n % 10] * (n + 1)} {n}.5" for n in range(100)]
    lines += [f"a <{n / 7:.3f}>" for n in range(1, 9)] + [f"b <{n / 7:.3f}>" for n in range(1, 6)]
    assert [(one.template, one.times) for one in suggested(lines)] == [("a <{value}>", 8), ("b <{b}>", 5)]


@given(st.lists(st.text(alphabet="ab {}@/:,.0123-'%|e\x02\0", max_size=40), max_size=12))
def test_whatever_is_printed_is_described_or_left_alone(lines: list[str]) -> None:
    for one in suggested([*lines, *lines, *lines, *lines]):
        assert parse(one.template).text == one.template
        assert parse_task_file(one.setting).progress == (one.template,)

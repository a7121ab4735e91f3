"""Bytes in, lines out: whatever a command prints."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.fakes import HandClock
from trainer.output import WIDEST, Line, Output, Pump, Redactor, Splitter, clean


def lines_of(*pieces: bytes) -> list[Line]:
    splitter = Splitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()


def texts(*pieces: bytes) -> list[str]:
    return [line.text for line in lines_of(*pieces)]


def test_a_return_ends_a_line_and_says_that_another_takes_its_place() -> None:
    assert lines_of(b"10%\r20%\r\n30%\n40%") == [
        Line("10%", True),
        Line("20%", False),
        Line("30%", False),
        Line("40%", False),
    ]


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=20))
def test_where_the_bytes_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(data[start : start + cut])
        start += cut
    assert lines_of(*pieces, data[start:]) == lines_of(data)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert texts(b"loss \xff\xfe 1.0\n") == ["loss \ufffd\ufffd 1.0"]
    assert texts("ä".encode()[:1], "ä".encode()[1:] + b"\n") == ["ä"]


def test_colours_and_control_characters_go() -> None:
    assert clean("\x1b[1m391/391\x1b[0m \x1b[32m━━\x1b[0m\tok\x08\x00\x7f") == "391/391 ━━\tok"
    assert clean("\x1b]0;title\x07text") == "text"


def test_a_line_without_an_end_is_cut_and_memory_is_not_filled() -> None:
    splitter = Splitter()
    for _ in range(100):
        assert splitter.feed(b"x" * 65_536) == []
    assert len(splitter._rest) == WIDEST
    (line,) = splitter.feed(b"\n")
    assert line.text == "x" * WIDEST + f"… [{100 * 65_536 - WIDEST:,} characters cut]"
    assert [one.text for one in splitter.feed(b"next\n")] == ["next"]


def test_redraws_are_thinned_in_the_log_and_all_watched() -> None:
    clock, log, watched = HandClock(), [], []
    output = Output(redactor=Redactor({}), log=log.append, watch=watched.append, clock=clock)
    for percent in range(50):
        clock.now += 0.1
        output.take([Line(f"{percent}%", True)])
    output.take([Line("done", False)])
    assert len(watched) == 51
    assert (log[0], log[-1]) == ("0%", "done")
    assert len(log) <= 7


def test_secrets_are_masked_everywhere_and_the_longest_first() -> None:
    env = {"HOURGLASS_SECRETS": "A, B,C,GONE", "A": "abcdef", "B": "abcdef-ghi", "C": "no"}
    log, watched = [], []
    output = Output(redactor=Redactor(env), log=log.append, watch=watched.append)
    output.take([Line("key abcdef-ghi and abcdef, no", False)])
    assert log == watched == output.tail() == ["key [B] and [A], no"]


def test_the_tail_is_short_and_narrow() -> None:
    output = Output(redactor=Redactor({}), log=lambda text: None, watch=lambda text: None)
    output.take([Line(str(number) * 1000, False) for number in range(200)])
    assert (len(output.tail()), max(map(len, output.tail()))) == (80, 501)


def test_a_pipe_that_somebody_else_holds_open_does_not_hold_us() -> None:
    reader, writer = os.pipe()
    log: list[str] = []
    output = Output(redactor=Redactor({}), log=log.append, watch=lambda text: None)
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[writer])
    try:
        pump = Pump(reader, output)
        os.write(writer, b"last words")
        os.close(writer)
        pump.finish(5.0)
        assert log == ["last words"]
    finally:
        holder.communicate(b"\n")

"""`hourglass progress`: what is read out of a log, at a terminal."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.progress import INTERRUPTED, curve, run
from jobs.errors import BadSpec

KNOWN = "".join(f"step {n}/40: loss {1 / n:.3f}\n" for n in range(10, 41, 10))
STRANGE = "".join(f"E{n // 4}b{n % 4} A<{1 / n:.3f}>\r\n" for n in range(1, 13))


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


def typed(text: str, *lines: str, task_file: Path | None = None, points: bool = False) -> int:
    Path("train.log").write_text(text)
    return run("train.log", lines, task_file, Path(), points=points)


def test_series_steps_and_where_the_run_stood_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(KNOWN) == 0
    shown = capsys.readouterr().out
    assert "4 lines; 4 of them tell progress." in shown
    assert " ".join(next(row for row in shown.splitlines() if "loss" in row).split()) == "loss 4 10 – 40 0.1 0.025 █▃▁▁"
    assert "stands at step 40 of 40" in shown


def test_a_log_without_steps_says_how_its_points_are_placed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("parts.log").write_text("".join(f"{{'loss': 0.{9 - n}, 'epoch': 0.{n}}}\n" for n in range(1, 6)))
    assert run("parts.log", (), None, Path()) == 0
    assert "they are counted, until a checkpoint tells" in capsys.readouterr().out
    Path("none.log").write_text("loss: 0.51\nloss: 0.41\n")
    assert run("none.log", (), None, Path()) == 0
    assert "each series for itself" in capsys.readouterr().out


def test_what_the_code_beside_it_calls_its_numbers_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("0 0.75\n1 0.5\n") == 1
    assert "call this in its folder, or name that with `--code`" in capsys.readouterr().out
    Path("train.py").write_text("for it in range(9):\n    print(it, loss.item())\n")
    assert typed("0 0.75\n1 0.5\n", points=True) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[-3:] == [["loss"], ["0", "0.75"], ["1", "0.5"]]
    Path("lib").mkdir()
    Path("lib/test.py").write_text("for it in range(9):\n    print(it, acc.item())\n")
    assert run("train.log", (), None, Path()) == 1  # of two that print such lines
    Path(".git").mkdir()
    for script in ("train.py", "lib/test.py"):
        assert run("train.log", (), None, Path(script)) == 0
    shown = capsys.readouterr().out
    assert shown.count("loss") == shown.count("acc") == 1
    with pytest.raises(BadSpec, match=r"`nowhere` is not there. `--code` names the script"):
        run("train.log", (), None, Path("nowhere"))


def test_what_is_not_read_is_shown_with_what_would_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(STRANGE) == 1
    shown = capsys.readouterr().out
    assert "Not read, 12 lines like E3b0 A<0.083>" in shown
    assert "progress: ['E{epoch}b{batch} A<{value}>']" in shown

    assert typed(STRANGE, "E{epoch}b{batch} A<{loss}>") == 0
    shown = capsys.readouterr().out
    assert "12 of them tell progress." in shown
    assert "Described by --line:\n  E{epoch}b{batch} A<{loss}>  12 lines" in shown
    assert "Not read" not in shown


def test_a_description_that_fits_no_line_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(KNOWN, "stp {step}", "{step}/{steps}") == 0
    shown = capsys.readouterr().out
    assert "stp {step}  fits no line\n" in shown
    assert "{step}/{steps}  fits no line; without a word of its own it is the whole line" in shown
    assert "stands at step 40 of 40" in shown


def test_each_point_is_printed_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    typed(KNOWN, points=True)
    rows = [row.split() for row in capsys.readouterr().out.partition("40 of 40.")[2].splitlines() if row]
    assert rows == [["loss"], ["10", "0.1"], ["20", "0.05"], ["30", "0.033"], ["40", "0.025"]]


def test_long_names_are_shown_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    typed("A 0.5\n", f"A {{{'long_name_' * 5}loss}}")
    shown = "".join(row.split(" ")[1] for row in capsys.readouterr().out.splitlines() if row.startswith(" "))
    assert "long_name_" * 5 + "loss" in shown


def test_the_task_file_of_this_folder_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".hourglass.yml").write_text("progress: ['E{epoch}b{batch} A<{loss}>']\n")
    assert typed(STRANGE) == 0
    assert "Described by .hourglass.yml:" in capsys.readouterr().out
    other = Path("other.yml")
    other.write_text("image: a\n")
    assert typed(STRANGE, task_file=other) == 1
    assert "Described" not in capsys.readouterr().out


def test_a_log_without_measurements_says_what_else_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("hello\n") == 1
    assert "Nothing in it looks like a measurement. `import hourglass` can tell them" in capsys.readouterr().out


def test_what_steers_a_terminal_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    typed("".join(f"[b]E{n}[/b] \x1b[2J\x07<{n / 7:.3f}>\n" for n in range(1, 9)))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "like [b]E8[/b] <1.143>" in shown


class Typing(io.RawIOBase):
    """A pipe whose writer goes on until somebody presses Ctrl-C."""

    def __init__(self, data: bytes) -> None:
        self._parts: Iterator[bytes] = iter([data])

    def read1(self, size: int) -> bytes:
        for part in self._parts:
            return part
        raise KeyboardInterrupt


def test_ctrl_c_shows_what_was_read_so_far(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Typing(KNOWN.encode())))  # type: ignore[type-var]
    assert run("-", (), None, Path()) == INTERRUPTED
    assert "stands at step 40 of 40" in capsys.readouterr().out


def test_without_a_standard_input_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(BadSpec, match="no standard input"):
        run("-", (), None, Path())


def test_what_is_printed_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    typed("".join(f"e{n} :fire: <{n / 7:.3f}>\n" for n in range(1, 9)))
    assert "progress: ['e{epoch} :fire: <{value}>']" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "lines", "task_file", "said"),
    [
        ("nowhere.log", (), None, "`nowhere.log` cannot be read: No such file or directory. `-` reads"),
        (".", (), None, "Is a directory"),
        ("train.log", ("L {my loss}",), None, "`{my loss}` in `L {my loss}` is no name"),
        ("train.log", (), "nowhere.yml", "`nowhere.yml` cannot be read"),
        ("train.log", (), "train.log", "`train.log` cannot be read"),
        ("train.log", (), "other.yml", "`other.yml` line 3: a brace in `b {b` has no other"),
    ],
)
def test_what_cannot_be_read_is_said(log: str, lines: tuple[str, ...], task_file: str | None, said: str) -> None:
    Path("train.log").write_bytes(b"\xff")
    Path("other.yml").write_text("progress:\n- a {a}\n- b {b\n")
    with pytest.raises(BadSpec) as caught:
        run(log, lines, Path(task_file) if task_file else None, Path())
    assert said in str(caught.value)


def test_a_curve_fits_a_line_and_marks_what_is_no_number() -> None:
    assert curve([1.0, 2.0, 3.0]) == "▁▅█"
    assert curve([2.0, 2.0]) == "▁▁"
    assert curve([1.0, math.nan, math.inf, 2.0]) == "▁××█"
    assert curve([math.nan]) == "×"
    assert curve([1.7e308] * 40) == "▁" * 20
    assert curve([1e308, -1e308, 0.0]) == "█▁▅"
    assert len(curve([float(n) for n in range(1000)])) == 32

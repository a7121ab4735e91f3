"""`hourglass progress LOG`: what is read out of a script's output, tried before any machine is rented.

The lines go through what the agent reads them with. What looks like progress and was not read is shown with a line for
the task file that would read it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from bot.data import INTERRUPTED
from bot.markup import clean
from jobs.errors import BadSpec
from jobs.strict_yaml import FILE_NAME
from jobs.taskfile import parse_task_file
from trainer.declared import Declared
from trainer.detect import Detection, Detector
from trainer.output import Splitter
from trainer.printed import Printed, printed_by
from trainer.unread import Suggestion, Unread

_CHUNK = 65_536  # bytes
_CURVE = 32  # characters
_BARS = "▁▂▃▄▅▆▇█"
_NOT_FINITE = "×"


@dataclass(eq=False)
class Found:
    """What was read."""

    lines: int = 0
    told: int = 0  # lines that told something
    step: int | None = None  # where the run stood at last
    total: int | None = None
    series: dict[str, list[tuple[int | None, float]]] = field(default_factory=dict)  # steps and values
    unread: Unread = field(default_factory=Unread)

    def take(self, detection: Detection) -> None:
        """Take what a line told, and what those before it did."""
        if detection.moved and detection.step is not None:
            self.step, total = detection.step, detection.total or self.total
            self.total = total if total and total >= self.step else None
        for one in (*(earlier for _, earlier in detection.earlier), detection):
            for name, value in one.values.items():
                self.series.setdefault(name, []).append((one.step, value))


def read(chunks: Iterable[bytes], declared: Declared, printed: Printed, found: Found) -> None:
    """Read a script's output into `found`, as it comes; `printed`: what its code prints."""
    splitter, detector = Splitter(), Detector(declared=declared, printed=printed)

    def take(line: str) -> None:
        detection = detector.feed(line)
        found.lines += 1
        if detection is not None:
            found.told += 1
            found.take(detection)
        if not detector.described:  # else somebody has said what is to be read of it
            found.unread.take(line, len(detection.values) if detection else 0)

    for chunk in chunks:
        for line in splitter.feed(chunk):
            take(line.text)
    for line in splitter.end():
        take(line.text)
    if ended := detector.end():
        found.take(ended)


def run(log: str, lines: Sequence[str], task_file: Path | None, code: Path, *, points: bool = False) -> int:
    """Show what is read from a file, or from "-", the standard input; return 0, or 1 where nothing was measured.

    `code`: the script, or the folder with it, for what it prints.
    """
    declared, where = _described(lines, task_file)
    found, printed, status = Found(), Printed(), 0
    if not code.exists():
        raise BadSpec(f"`{code}` is not there. `--code` names the script that printed the lines, or its folder.")
    try:
        with _opened(log) as file:
            printed = printed_by(_repository(code), () if code.is_dir() else [code.resolve()])
            read(_chunks(file, log), declared, printed, found)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OSError as error:
        raise _unreadable(log, error) from error
    console = Console(emoji=False)
    show(found, console)
    if not found.series and not printed:
        console.print("Its code may say what it prints: call this in its folder, or name that with `--code`.")
    _fits(declared, where, console)
    for one in found.unread.suggestions():
        _suggest(one, console)
    if points:
        _points(found, console)
    return status or (0 if found.series else 1)


def _repository(code: Path) -> Path:
    """Return a folder as it is named, and of a script the repository that it lies in, or its folder."""
    if code.is_dir():
        return code
    above = code.resolve().parents
    return next((folder for folder in above if (folder / ".git").exists()), above[0])


def _described(lines: Sequence[str], task_file: Path | None) -> tuple[Declared, str]:
    """Return how lines are described, and where; the file in this folder is read where none is named."""
    if lines:
        try:
            return Declared(lines), "--line"
        except ValueError as error:
            raise BadSpec(f"{error}.") from error
    path = task_file or Path(FILE_NAME)
    if task_file is None and not path.exists():
        return Declared(), ""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSpec(f"`{path}` cannot be read: {error}.") from error
    try:
        described = parse_task_file(text).progress
    except BadSpec as error:
        raise BadSpec(str(error).replace(f"`{FILE_NAME}`", f"`{path}`")) from error
    return Declared(described), str(path) if described else ""


def _opened(log: str) -> BinaryIO:
    if log != "-":
        return Path(log).open("rb")
    if sys.stdin is None:
        raise BadSpec("There is no standard input. Name a file.")
    return sys.stdin.buffer


def _unreadable(log: str, error: OSError) -> BadSpec:
    return BadSpec(f"`{log}` cannot be read: {error.strerror}. `-` reads the standard input.")


def _chunks(file: BinaryIO, log: str) -> Iterable[bytes]:
    total = None if log == "-" else Path(log).stat().st_size
    with Progress(console=Console(stderr=True), transient=True, disable=total is None) as bar:
        task = bar.add_task(log, total=total)
        while chunk := file.read1(_CHUNK) if log == "-" else file.read(_CHUNK):  # type: ignore[attr-defined]
            yield chunk
            bar.advance(task, len(chunk))


def show(found: Found, console: Console) -> None:
    """Print the series with their curves, and where the run stood."""
    console.print(f"{found.lines:,} lines; {found.told:,} of them tell progress.", highlight=False)
    if found.series:
        console.print(_table(found))
    if found.step is not None:
        of = f" of {found.total:,}" if found.total else ""
        console.print(f"At the end the run stands at step {found.step:,}{of}.", highlight=False)
    elif any(step is not None for points in found.series.values() for step, _ in points):
        console.print("Its records name parts of epochs and no steps: they are counted, until a checkpoint tells.")
    elif found.series:
        console.print("No line says at which step: points are counted, each series for itself.", highlight=False)
    elif not found.unread.suggestions(1):
        console.print("Nothing in it looks like a measurement. `import hourglass` can tell them: docs/training.md.")


def _fits(declared: Declared, where: str, console: Console) -> None:
    """Say how many lines each description was the first to fit."""
    if declared:
        console.print(f"\nDescribed by {escape(where)}:", highlight=False)
    for template, lines in zip(declared.templates, declared.fits, strict=True):
        why = "; without a word of its own it is the whole line" if template.whole else ""
        fits = f"{lines:,} lines" if lines else f"[yellow]fits no line{why}[/yellow]"
        console.print(f"  {escape(clean(template.text))}  {fits}", highlight=False, soft_wrap=True)


def _points(found: Found, console: Console) -> None:
    for name, points in found.series.items():
        console.print(f"\n{escape(clean(name))}", highlight=False)
        for step, value in points:
            console.print(f"  {'–' if step is None else f'{step:,}':>12}  {value:.6g}", highlight=False)


def _table(found: Found) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("series", overflow="fold")
    for column in ("points", "steps", "first", "last"):
        table.add_column(column, justify="right")
    table.add_column("")
    for name, points in found.series.items():
        steps = [step for step, _ in points if step is not None]
        values = [value for _, value in points]
        span = f"{min(steps):,} – {max(steps):,}" if steps else "–"
        table.add_row(
            escape(clean(name)), f"{len(points):,}", span, f"{values[0]:.5g}", f"{values[-1]:.5g}", curve(values)
        )
    return table


def curve(values: Sequence[float]) -> str:
    """Return values as a row of bars, each of as many as it takes to fit; × where one is no number."""
    # By a power of two, which rounds nothing: sums of the largest numbers stay finite.
    shift = math.frexp(max((abs(value) for value in values if math.isfinite(value)), default=0.0))[1]
    values = [math.ldexp(value, -shift) for value in values]
    finite = list(filter(math.isfinite, values))
    least, most = min(finite, default=0.0), max(finite, default=0.0)
    per = max(1, math.ceil(len(values) / _CURVE))
    drawn = []
    for group in (values[at : at + per] for at in range(0, len(values), per)):
        mean = math.fsum(group) / len(group) if all(map(math.isfinite, group)) else math.nan
        share = (mean - least) / (most - least) if most > least else 0.0
        drawn.append(_BARS[min(7, max(0, int(8 * share)))] if math.isfinite(mean) else _NOT_FINITE)
    return "".join(drawn)


def _suggest(one: Suggestion, console: Console) -> None:
    how = "Read in part" if one.told else "Not read"
    console.print(f"\n{how}, {one.times:,} lines like [bold]{escape(clean(one.example))}[/bold]", highlight=False)
    more = "all of it is" if one.told else "it is"
    console.print(f"  if {more} progress, in {FILE_NAME}, under names of your choice:", highlight=False)
    console.print(f"  [green]{escape(one.setting)}[/green]", highlight=False, soft_wrap=True)

"""What takes more than one line: tables whose header names the columns, and blocks that a first line begins.

Pure: each function takes one line, and what the lines before it left behind as a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.drawn import description
from trainer.formats import Reading
from trainer.names import is_companion, is_of_evaluation, is_outcome, is_worth_naming, of_part, series_name
from trainer.numbers import NUMBER, number

EPOCHS = frozenset({"epoch", "epochs", "ep"})
STEPS = frozenset(
    {"num_updates", "nupdates", "total_train_updates"}
    | {"step", "steps", "iter", "iters", "iteration", "iterations", "it", "n_iter", "round", "episode", "counter", "#"}
    | {"gen", "generation", "update", "updates", "batch", "global_step", "timestep", "timesteps", "total_timesteps"}
)
_WORD = re.compile(r"(?:[A-Za-z][\w ./@%()+*:\-]*|#)$")
_SPACED = re.compile(r"\S+(?: \S+)*")  # a column of several words, by single spaces
_TIGHT = re.compile(r"\S+")
_CELL = re.compile(rf"\[?({NUMBER})\s?%?\]?$")  # a list of one is a number
_LAST = ("final", "last", "end")  # where a count would stand
_OF = re.compile(r"(\d+)/(\d+)$")
_WITHIN = ("batch", "iter", "iteration")  # that count within an epoch which stands beside
_OF_DATA = ("train_", "val_", "test_", "eval_", "dev_")
_MOST_COLUMNS = 24


@dataclass(frozen=True, kw_only=True)
class Columns:
    """A table's header: what stands in which column, and from where to where."""

    names: Sequence[str]
    spans: Sequence[tuple[int, int]]  # empty where something else than space parts the columns
    parted: str  # what parts them, "" for space
    counter: int  # the column that counts
    epochs: bool  # it counts epochs
    within: int | None  # the column of the epoch that it counts within


# spaCy's "LOSS TEXTCAT" above, and what it judges each of its parts by.
_OF_SPACY = re.compile(
    r"(?:ents|tag|dep|cats|sents|lemma|morph|pos|token|spans_\w+)_(?:[fpr]|acc|uas|las|score|macro_\w+)$"
)


def _judges(name: str) -> bool:
    return is_outcome(name) or name.startswith("loss_") or _OF_SPACY.match(name) is not None


def _kept(name: str) -> bool:
    return _judges(name) or is_companion(name)


_RULES = str.maketrans(dict.fromkeys("│┃║┠┨", "|"))
_COUNTING = re.compile(  # each begins with a character, and the engine passes over all others
    r"epoch|step|iter|#|round|episode|counter|gen(?<!\wgen)|update|batch|ep(?<!\wep)\b|it(?<!\wit)\b"
)


def header(text: str) -> Columns | None:
    """Return the columns if `text` is the header of a table of progress: one column counts, one is an outcome."""
    if not _COUNTING.search(text.lower()):
        return None
    bare = text.translate(_RULES)
    for parted, words in _split(bare.replace("#", " ", 1) if bare.lstrip().startswith("# ") else bare):
        names = _parted([series_name(text) for text, _, _ in words])
        if not 2 <= len(words) <= _MOST_COLUMNS or not all(_WORD.match(text) for text, _, _ in words):
            continue
        steps = next((at for at, name in enumerate(names) if name in STEPS), None)
        counter = next((at for at, name in enumerate(names) if name in EPOCHS), None) if steps is None else steps
        if counter is not None and any(map(_judges, names)):
            spans = [] if parted else [(start, end) for _, start, end in words]
            within = (
                names.index("epoch") if counter == steps and names[counter] in _WITHIN and "epoch" in names else None
            )
            return Columns(
                names=names, spans=spans, parted=parted, counter=counter, epochs=steps is None, within=within
            )
    return None


def _parted(names: Sequence[str]) -> list[str]:
    """Return the names of columns: those that come again are of the validation, and once more of the test."""
    return [of_part(("", "val", "test")[min(names[:at].count(name), 2)], name) for at, name in enumerate(names)]


def _split(text: str) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Return the ways in which `text` may be columns: what parts them, and their words with from where to where."""
    for parted in ("|", ",", "\t"):
        if parted in text:
            return [(parted, [(cell, 0, 0) for cell in _cells(text, parted)])]
    text = text.expandtabs()
    return [
        ("", [(found.group(), found.start(), found.end()) for found in form.finditer(text)])
        for form in (_SPACED, _TIGHT)
    ]


def _cells(text: str, parted: str) -> list[str]:
    cells = [cell.strip() for cell in text.strip().split(parted)]
    return cells[cells[0] == "" : len(cells) - (cells[-1] == "")]


def row(columns: Columns, text: str) -> Reading | None:
    """Return what a line under that header says; None if it is not a row of that table."""
    text = text.translate(_RULES)
    text = text if columns.parted == "\t" else text.expandtabs()
    text = description(text) if "%|" in text else text  # YOLOv6's rows stand before a bar
    if columns.parted and columns.parted in text:
        cells: Sequence[str | None] = _cells(text, columns.parted)
        missing = len(columns.names) - len(cells)
        if missing > 0 and cells and cells[-1] and not any(map(str.isalnum, cells[-1])):  # a bar in their place
            cells = [*cells[:-1], *[None] * (missing + 1)]
        if len(cells) != len(columns.names):
            return None
    else:
        cells = _by_place(columns, text) or text.replace("|", " ").replace(",", " ").split()
        if (
            len(cells) == len(columns.names) + 1
            and cells[0] == cells[columns.counter + 1]
            and (cells[0] or "").isdecimal()
        ):
            cells = cells[1:]  # of a data frame that is printed: its rows are numbered, and the numbers have no heading
    if len(cells) < len(columns.names):
        return None
    count, total = cells[columns.counter] or "", None
    if of := _OF.match(count):
        count, total = of[1], of[2]
    if not count.isdecimal() and count.lower() not in _LAST:
        return None
    values = {
        name: number(found[1])
        for name, cell in zip(columns.names, cells, strict=False)  # a bar may stand behind the last column
        if cell and (_kept(name) or name.startswith(_OF_DATA)) and (found := _CELL.match(cell))
    }
    if not any(map(_judges, values)):
        return None
    if not count.isdecimal():
        return Reading(values=values)
    outer = None if columns.within is None else cells[columns.within] or ""
    if outer is not None and outer.isdecimal():
        return Reading(step=int(count), epoch=float(outer), values=values, within_epoch=True, from_either=True)
    return Reading(
        step=int(count),
        total=None if total is None else int(total),
        epoch=float(count) if columns.epochs else None,
        values=values,
    )


_BETWEEN = re.compile(r"\s*[|,&]\s*|\s{2,}|\t")
_PARTING = " \t&|,\\"  # numbers in a row of results, which may be LaTeX's: "& 0.115 & 0.903 \\\\"
_RESULT = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?|nan", re.IGNORECASE)


def measures(text: str) -> Sequence[str]:
    """Return the names over one row of results if `text` is a header that counts nothing, none for any other line."""
    cells = [cell for cell in _BETWEEN.split(text.strip()) if cell]
    names = [series_name(cell) for cell in cells if _WORD.match(cell)]
    if not 3 <= len(names) <= _MOST_COLUMNS or not len(cells) == len(names) == len(set(names)):
        return ()
    return names if any(map(_judges, names)) and sum(map(_kept, names)) > 1 else ()


def results(names: Sequence[str], text: str) -> Mapping[str, float]:
    """Return what the row below such a header says, nothing of any other line."""
    numbers = re.split(f"[{re.escape(_PARTING)}]+", text.strip(_PARTING))
    if len(numbers) != len(names) or not all(map(_RESULT.fullmatch, numbers)):
        return {}
    return dict(zip(names, map(number, numbers), strict=True))


def _by_place(columns: Columns, text: str) -> list[str | None] | None:
    """Return the cells by the columns that they stand under, where some are empty; None where none is."""
    found = list(_TIGHT.finditer(text))
    if not columns.spans or not 2 <= len(found) < len(columns.names):
        return None
    cells: list[str | None] = [None] * len(columns.names)
    for cell in found:
        at = min(
            range(len(columns.spans)),
            key=lambda at: min(abs(columns.spans[at][0] - cell.start()), abs(columns.spans[at][1] - cell.end())),
        )
        if cells[at] is not None:
            return None
        cells[at] = cell.group()
    return cells


# Composer: "[epoch=1][batch=4/8]:", then a line for each value: "	 Train loss/train/total: 0.6931".
_BLOCK = re.compile(
    r"^\[(?P<eval>Eval )?(?:epoch=(?P<epoch>\d+)(?:/(?P<epochs>\d+))?\]\[)?"
    r"(?:batch|iteration)=(?P<n>\d+)(?:/(?P<total>\d+))?\]"
)
_ITEM = re.compile(rf"^(?:Train|Eval) (?P<name>[\w./\-]+): (?P<value>{NUMBER})$")


def begins(text: str) -> bool:
    """Return whether `text` begins a block, of the training or of an evaluation."""
    return bool(_BLOCK.match(text))


def within(text: str) -> bool:
    """Return whether `text` may stand within a block, whatever it brings."""
    return text.startswith(("Train ", "Eval "))


def block(text: str) -> Reading | None:
    """Return where the run stands by the first line of a block; it brings no values."""
    found = _BLOCK.match(text)
    if found is None or found["eval"]:
        return None
    epochs = int(found["epochs"]) if found["epochs"] else None
    epoch = int(found["epoch"]) - (0 if epochs else 1) if found["epoch"] else None
    total = int(found["total"]) if found["total"] else None
    return Reading(
        step=int(found["n"]),
        total=total,
        epoch=epoch,
        epochs=epochs,
        within_epoch=epoch is not None,
        based=True,
    )


def item(text: str) -> Mapping[str, float]:
    """Return the one series that a line within a block brings, or nothing."""
    found = _ITEM.match(text)
    if found is None:
        return {}
    name = series_name(found["name"])
    measured = found["name"].startswith("metrics/") or is_outcome(name) or is_companion(name)
    return {name: number(found["value"])} if measured else {}


_IN_RECORD = re.compile(
    rf"(?P<opens>(?:.*[ :])?\{{)?'(?P<name>[\w./@ -]{{1,80}})': (?P<value>{NUMBER})(?:,|(?P<ends>\}}))"
)
_MOST_NAMES = 200


class Records:
    """Python's dicts that are printed over several lines (`pprint`), a value on each, again and again."""

    def __init__(self) -> None:
        self._open = self._judged = False
        self._names = set[str]()

    def values(self, text: str) -> Mapping[str, float]:
        """Return what a line of one says: what nobody knows by its name, once it comes again."""
        found = _IN_RECORD.fullmatch(text) if "': " in text else None
        if found is None or not (found["opens"] or self._open) or (found["opens"] and found["ends"]):
            self._open = self._open and text[-1:] == ","
            return {}
        self._open = not found["ends"]
        name = series_name(found["name"])
        self._judged = self._judged or is_outcome(name)
        told = is_outcome(name) or (self._judged and name in self._names and _is_measured(name, found["value"]))
        if len(self._names) < _MOST_NAMES:
            self._names.add(name)
        return {name: number(found["value"])} if told else {}


# stable-baselines3's table of one iteration: "|    value_loss           | 112          |".
_RULE = re.compile(r"-{4,}\s{2,}-{4,}")
_CELLS = re.compile(r"\S\s{2,}\S")
_WIDEST_ROW = 200  # characters
_RULED = re.compile(rf"(?P<name>[A-Za-z][\w/@ .()-]{{0,80}}?)\s{{2,}}(?P<value>{NUMBER})")
BARS = ("|", "│", "┃", "║")
_PAIR = re.compile(rf"^[|│┃║]\s+(?P<name>[A-Za-z][\w ./@-]*?)\s*[|│┃║]\s*(?P<value>{NUMBER})\s*[|│┃║]$")
_MOST_ROWS = 100
_COUNTS = (
    "total_timesteps", "step", "steps", "global_step", "total_steps", "totalenvinteracts", "iteration", "itr", "batch",
    "epoch",
)  # fmt: skip


class Ruled:
    """Tables of names and values between rules, as rlkit prints them; one with a heading over its rule is another."""

    def __init__(self) -> None:
        self._open = False
        self._before = ""

    def barred(self, line: str) -> str:
        """Return a row with bars around its cells, and any other line as it is."""
        before, self._before = self._before, line
        if len(line) > _WIDEST_ROW:
            return line
        text = line.strip()
        if text[:2] == "--" and _RULE.fullmatch(text):
            self._open = not self._open and not _CELLS.search(before.strip())
        elif self._open:
            row = _RULED.fullmatch(text)
            self._open = row is not None or _CELLS.search(text) is not None
            return f"| {row['name']} | {row['value']} |" if row else line
        return line


class Pairs:
    """Collects the rows of tables of names and values, whose count may stand in any of them."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, str]] = {}  # name -> the line that it stands in, and its value
        self._counted: dict[str, float] = {}  # what counted in the table before
        self._uncounted: frozenset[str] = frozenset()  # what the last table was of that counted nothing

    def __bool__(self) -> bool:
        return bool(self._rows)

    @staticmethod
    def row(text: str) -> tuple[str, str] | None:
        """Return name and value of a row, None where `text` is none."""
        found = _PAIR.match(text)
        return (series_name(found["name"]), found["value"]) if found else None

    def holds(self, name: str) -> bool:
        """Return whether this table has that row: the next one of that name is of another."""
        return name in self._rows

    def add(self, line: int, name: str, value: str) -> None:
        """Take the row in `line`."""
        if len(self._rows) < _MOST_ROWS:
            self._rows[name] = line, value

    def end(self) -> tuple[Reading | None, Mapping[str, int]]:
        """Return what the table said, None for nothing, and the lines of its rows by their names."""
        rows, self._rows = self._rows, {}
        return self._said({name: value for name, (_, value) in rows.items()}), {n: at for n, (at, _) in rows.items()}

    def _said(self, rows: Mapping[str, str]) -> Reading | None:
        counts = {name: number(rows[name]) for name in _COUNTS if name in rows}
        count = next((name for name, value in counts.items() if value >= 0 and value % 1 == 0), None)  # 1e+03, too
        if count is None:  # of an evaluation, whose step is the run's, or of what comes again and again
            again, self._uncounted = self._uncounted == rows.keys(), frozenset(rows)
            values = {name: number(value) for name, value in rows.items() if is_worth_naming(name)}
            told = all(map(is_of_evaluation, rows)) or (again and any(map(_judges, values)))
            return Reading(values=values) if told else None
        before, self._counted = self._counted.get(count), counts
        values = {name: number(value) for name, value in rows.items() if _kept(name) or _is_measured(name, value)}
        if not any(map(_judges, values)) and (before is None or before >= counts[count]):
            return None  # of settings: what counts, comes again
        step, epoch = (None, counts[count]) if count == "epoch" else (int(counts[count]), None)
        return Reading(step=step, epoch=epoch, values=values, epoch_counts=True)


def _is_measured(name: str, value: str) -> bool:
    return ("." in value or "e" in value) and name not in _COUNTS and is_worth_naming(name)

"""What code says that it prints: each line with a measurement in it, as a team would describe it (`trainer.templates`).

    for epoch in range(epochs):
        for i, batch in enumerate(loader):
            print(f"{epoch} {i} {loss.item():.3f}")   ->   "{epoch} {batch} {loss}"

A number without a name in the output has one in the code, and the loop around it tells what a count is of. Nothing is
run: it is read off the syntax tree. Pure.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import re
import warnings
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from trainer.holes import Hole, Piece, by_percent, called, joined, last_name, lines, pieces
from trainer.loops import (
    MANY_OF,
    Around,
    Loop,
    added,
    grown,
    is_grown,
    is_looped_over,
    is_spent,
    loop,
    names_epoch,
    role,
    spent,
    whole,
)
from trainer.names import BESIDE, PARTS, RECORD, is_companion, is_outcome, is_worth_naming, of_part, series_name
from trainer.templates import NAME

_MOST = 2_000  # of one file
_MOST_PIECES = 100  # of a line
_LONGEST = 2_000  # characters of a string
_LONGEST_NAME = 80  # characters, with what stands between it and its number
_PART = re.compile(r"(?:^|_)(?P<part>val|valid|validat(?:e|ion)|eval|evaluat(?:e|ion)|test|testing)(?:_|$)")
_TRAINS = re.compile(r"train|fit|learn|main|run")  # whatever else such a function does
_ENDED = re.compile(r"(?<!not )\b(?:dones?|terminated|truncated)\b(?!\s*==\s*(?:False|0))")
_OF_EPOCH = re.compile(r"(?:^|_)epoch$")  # functions that train for one
# The word for the count before it: "in 12 Step cost = ".
_COUNT_WORD = re.compile(r"^ (?:epoch|iteration|steps?)(?= )", re.IGNORECASE)
# A name before its number: "Loss: ", "val acc = (", "error is ", "3px: ".
_BEFORE = re.compile(
    r"(?P<name>(?<!\d)\d*[A-Za-z][\w@/-]*(?:\.\w[\w@/-]*)*(?: \w[\w@/-]*(?:\.\w[\w@/-]*)*){0,3})"
    r"\s*(?:[:=~]|->|is|of)*\s*[\[(<]?\s*$"
)
# Of a variable's name what says how its value came about: "reduced_loss", "running_loss", "loss_value".
_CAME_ABOUT = re.compile(
    r"^(?:(?:reduced|running|total|batch|sum|acc|tr|epoch|cur|current|log|logging|print|tot|ema|smooth|mean|avg|ave|this"
    r"|local|global|step|iter)_)+|_(?:value|item|meter|log|sum|avg|np|num|float|print|all|history|list)$"
)
# Words before a number that are no name of it: "error is 0.5", "with loss 0.5", "13.6 dB SSIM: 0.29".
CONNECT = frozenset({
    "is", "was", "are", "of", "at", "in", "for", "and", "to", "with", "on", "by", "per", "the", "db", "results",
    "stats", "current", "cur",
})  # fmt: skip
_OF_SEVERAL = re.compile(r"(?:class|fold|seed|run|task|label|head|layer|player|agent|worker|rank)\W*$", re.IGNORECASE)
_SPREAD = re.compile(r"(?:\+\s?/?-|±)\s*$")  # "0.5 +- 0.1"
_LETTERS = frozenset({"p", "r", "f"})  # precision and recall, as many print them
_NO_NEWS = re.compile(r"(?:maximum|minimum|std|stddev)(?:_|$)")
_RATE = re.compile(r"(?:ms|tok|tokens?|secs?|s|it|samples?)_")  # "ms/batch"
_UNIT = re.compile(r"\s?(?:s|secs?|seconds|ms|mins?|minutes|h|hours|[KMG]i?B)\b")  # behind what is no measurement
# What else than `print` writes a line: loggers, and bars what they are called.
_WRITERS = frozenset({
    "info", "debug", "warning", "warn", "log", "write", "echo", "rprint", "print_log", "printf", "log_message",
    "print_and_log", "print_rank_0", "set_description", "set_description_str", "set_postfix_str",
})  # fmt: skip
_LOGGERS = ("info", "debug", "warning")
# Beside a hole these make a file's name of a string, or a part of a word: in one with a space only what no line has.
_OF_NAME_BEFORE, _OF_NAME_BEHIND = re.compile(r"[\w./-]$"), re.compile(r"[A-Za-z_/]|\.\w|-\w")
_IN_NAME = re.compile(r"_[A-Za-z]")  # behind what is a part of a name: "stage1_loss"
_OF_PATH_BEFORE, _OF_PATH_BEHIND = re.compile(r"[\w.]/$|_$"), re.compile(r"/[A-Za-z_]|\.[a-z]|_\w")
# Names that are worth a series and may be of anything: these need a format, "%.3f".
_VAGUE = re.compile(r"(?:^|_)(?:rank|gap|success|map|em|ll|l[12]|ap|hr|mr)$|^(?:on_|from_)?err(?:or)?$")
_BESIDE_OTHERS = re.compile(r"(?:^|_)(?:lr|learning_rate|per)(?:_|$)")  # no measurement by themselves


class Statement(NamedTuple):
    """A line that the code prints."""

    text: str  # as `trainer.templates` has it
    begins: bool  # nothing stands before it but what a logger puts there
    ends: bool  # nothing stands behind it
    part: str = ""  # of the data, that the function around it is for
    totals: Mapping[str, int] = MappingProxyType({})  # "epochs", "steps" or "batches", where the code says how many
    printed: frozenset[str] = frozenset()  # names that stand in the line, and not in the code alone
    on_epochs: bool = False  # it is what a bar over epochs is called
    absolute: bool = False  # its step is counted from the start of the function, and not of an epoch
    spends: bool = False  # it tells how long a loop took
    measures: bool = True
    is_bare: bool = False  # there is no word in it


@dataclass
class _Scope:
    """A function, or the file."""

    part: str = ""
    in_epoch: bool = False  # what it counts is within an epoch
    loops: list[Loop] = field(default_factory=list)
    strings: dict[str, Sequence[Piece]] = field(default_factory=dict)
    lengths: dict[str, ast.expr] = field(default_factory=dict)  # variables that a `len(...)` was assigned to
    numbers: dict[str, int | None] = field(default_factory=dict)  # and a whole number, None for anything else
    held: dict[str, ast.expr] = field(default_factory=dict)  # and what is looped over
    grown: Collection[str] = ()  # variables that count from the start of the run


def statements(source: str) -> Sequence[Statement]:
    """Return the lines that the code of a file prints, [] where it is no Python that this one reads."""
    try:
        with warnings.catch_warnings():  # of a backslash that stands alone, which is their author's business
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Statement] = []
    with contextlib.suppress(ValueError, RecursionError, MemoryError):  # what was read until then is kept
        found.extend(itertools.islice(_Reader().read(tree), _MOST))
    return found


class _Reader:
    """Walks through the code of a file in its order."""

    def __init__(self) -> None:
        self._scopes = [_Scope()]
        self._open: Sequence[Piece] = []  # printed, and its line has not ended
        self._added: Collection[str] = ()  # variables that are added to, wherever that is

    def read(self, node: ast.AST) -> Iterator[Statement]:
        """Yield what is printed in `node`."""
        match node:
            case ast.Module():
                self._added = added(node)
                self._scopes[-1].grown = grown(node.body)
                for statement in node.body:
                    yield from self.read(statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from self._function(node)
            case ast.For() | ast.AsyncFor() | ast.While():
                yield from self._loop(node)
            case ast.If() if len(self._scopes[-1].loops) > 1 and _ends_loop(node):
                inner = self._scopes[-1].loops.pop()  # what is done here comes once, behind it
                for statement in node.body:
                    yield from self.read(statement)
                self._scopes[-1].loops.append(inner)
                for statement in node.orelse:
                    yield from self.read(statement)
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield from self._assigned(name, node.value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add()) if self._string(name):
                more = pieces(node.value, self._string) or [Hole(node.value)]
                self._remember(name, [*self._string(name), *more])
            case ast.AugAssign(target=ast.Name(id=name)):
                self._scopes[-1].numbers[name] = None
            case ast.Call():
                yield from self._call(node)
            case ast.JoinedStr() | ast.BinOp() if found := pieces(node, self._string):
                yield from self._lines(found)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from self.read(child)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Statement]:
        name = node.name.lower()
        arguments = [one.arg.lower() for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        in_epoch = any(map(names_epoch, arguments)) or _OF_EPOCH.search(name) is not None
        part = None if _TRAINS.search(name) else _PART.search(name)
        of_part = series_name(part["part"]) if part else ""
        numbers = dict.fromkeys(one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg))
        self._scopes.append(_Scope(part=of_part, in_epoch=in_epoch, grown=grown(node.body), numbers=numbers))
        self._open = []
        for child in node.body:
            yield from self.read(child)
        self._scopes.pop()

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While) -> Iterator[Statement]:
        yield from self.read(node.test if isinstance(node, ast.While) else node.iter)
        scope = self._scopes[-1]
        in_epoch = scope.in_epoch or any(one.role == "epoch" for one in scope.loops)
        self._open = []
        one = Loop("") if isinstance(node, ast.While) else loop(node, self._numbers, self._held, in_epoch=in_epoch)
        scope.loops.append(replace(one, spent=spent(node.body)))
        for child in (*node.body, *node.orelse):
            yield from self.read(child)
        scope.loops.pop()
        self._open = []

    def _assigned(self, name: str, value: ast.expr) -> Iterator[Statement]:
        scope = self._scopes[-1]
        scope.strings.pop(name, None)
        scope.lengths.pop(name, None)
        scope.held.pop(name, None)
        scope.numbers[name] = None if name in scope.numbers else whole(value, self._numbers)
        if found := pieces(value, self._string):
            self._remember(name, found)
        elif isinstance(value, ast.Call) and last_name(value.func) == "len":
            scope.lengths[name] = value
        elif is_looped_over(value):
            scope.held[name] = value
        yield from self.read(value)

    @staticmethod
    def _object(node: ast.Call) -> str:
        """Return the variable whose method is called, "" where it is no method."""
        return last_name(node.func.value) if isinstance(node.func, ast.Attribute) else ""

    def _remember(self, name: str, found: Sequence[Piece]) -> None:
        """Take what a variable holds; one that grows and grows is no line."""
        size = sum(len(piece) if isinstance(piece, str) else 1 for piece in found)
        self._scopes[-1].strings[name] = found if len(found) <= _MOST_PIECES and size <= _LONGEST else []

    def _call(self, node: ast.Call) -> Iterator[Statement]:
        name = last_name(node.func)
        if name == "print" and node.args:
            yield from self._printed(node)
        elif name in _WRITERS and (given := node.args[:1] or [one.value for one in node.keywords if one.arg == "desc"]):
            text = pieces(given[0], self._string)
            if len(node.args) > 1 and all(isinstance(piece, str) for piece in text):
                text = by_percent("".join(map(str, text)), node.args[1:])
            on_epochs = any(
                one.bar == self._object(node) for one in self._around.loops if one.role == "epoch" and one.bar
            )
            yield from (one._replace(on_epochs=on_epochs) for one in self._lines(text, written=name))
        elif found := pieces(node, self._string):
            yield from self._lines(found)
        elif name != "add_argument":
            for child in ast.iter_child_nodes(node):
                yield from self.read(child)

    def _printed(self, node: ast.Call) -> Iterator[Statement]:
        given = {one.arg: one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)}
        end = str(given["end"]) if given.get("end") is not None else "\n"
        found = joined(node.args, str(given.get("sep", " ")), self._string)
        before, self._open = self._open, []
        ends = end[:1] in ("\r", "\n")
        if before:
            yield from self._lines([*before, *found], begins=True, ends=ends)
        if not ends and len(before) < _MOST_PIECES:
            self._open = [*before, *found, end]
        yield from self._lines(found, begins=not before, ends=ends)

    @property
    def _part(self) -> str:
        return next((scope.part for scope in reversed(self._scopes) if scope.part), "")

    @property
    def _around(self) -> Around:
        inner = self._scopes[::-1]
        return Around(
            loops=[one for scope in inner for one in reversed(scope.loops)],
            in_epoch=any(scope.in_epoch for scope in inner),
            lengths=ChainMap(*(scope.lengths for scope in inner)),
            grown=self._scopes[-1].grown,
            added=self._added,
        )

    @property
    def _held(self) -> Mapping[str, ast.expr]:
        return ChainMap(*(scope.held for scope in reversed(self._scopes)))

    @property
    def _totals(self) -> Mapping[str, int]:
        found: dict[str, int | None] = {}
        for one in self._around.loops:
            if one.role in MANY_OF:
                found.setdefault(MANY_OF[one.role], one.times)
        return {name: times for name, times in found.items() if times}

    @property
    def _numbers(self) -> Mapping[str, int | None]:
        return ChainMap(*(scope.numbers for scope in reversed(self._scopes)))

    def _string(self, name: str) -> Sequence[Piece]:
        return next((scope.strings[name] for scope in reversed(self._scopes) if name in scope.strings), [])

    def _lines(
        self, found: Sequence[Piece], *, written: str = "", begins: bool = False, ends: bool = False
    ) -> Iterator[Statement]:
        """Yield the lines of a string: of one that a function writes, or that one of the code's own may."""
        split = lines(found)
        part = self._part
        for at, line in enumerate(split):
            if written or begins or not _is_name(line):
                text, printed, measures = self._described(line, judges=bool(part))
                is_bare = all(isinstance(one, Hole) or not any(map(str.isalpha, one)) for one in line)
                logged = written in _LOGGERS and is_bare and measures  # nothing else would tell it from other lines
                whole = begins or logged or at > 0, ends or logged or at < len(split) - 1
                if not measures and not (is_bare and all(whole)):
                    continue
                absolute = any(isinstance(one, Hole) and is_grown(one.value, self._around) for one in line)
                spends = any(isinstance(one, Hole) and is_spent(one.value, self._around) for one in line)
                yield Statement(
                    text, *whole, part, self._totals, printed,
                    absolute="{step}" in text and absolute, spends=spends, measures=measures, is_bare=is_bare,
                )  # fmt: skip

    def _described(self, line: Sequence[Piece], *, judges: bool) -> tuple[str, frozenset[str], bool]:
        """Return a line as a team would describe it, which of its names are printed, and whether it measures something.

        `judges`: it is of an evaluation, and what has a format is a measurement.
        """
        text = before = ""
        taken, printed = set[str](), set[str]()
        measures, parted, several = False, True, False  # from the number before; of one class
        for at, piece in enumerate(line):
            if isinstance(piece, str):
                text += piece.replace("{", "{{").replace("}", "}}")
                before, parted = before + piece, parted or bool(piece)
                continue
            behind = line[at + 1] if at + 1 < len(line) else ""
            has_unit = isinstance(behind, str) and (_UNIT.match(behind) or _IN_NAME.match(behind)) is not None
            is_one = parted and not has_unit and not _SPREAD.search(before)
            name, known, own = self._name(piece, before) if is_one else ("", False, False)
            several = several or (is_one and not name and self._is_of_one(piece, before))
            if own and name and name in taken:  # "[D loss: 0.7, acc: 50%] [G loss: 0.8, acc: 40%]"
                name, known, _ = self._name(piece, "")
            if name in taken or (name in ("step", "batch") and taken & {"step", "batch"}):
                name = ""
            taken.add(name)
            if own:
                printed.add(name)
            text += f"{{{name}}}"
            measures = measures or (bool(name) and (known or (judges and own and piece.decimal)))
            before, parted = "", not name
        measures = measures and not (several and taken.isdisjoint(MANY_OF))
        return text, frozenset(printed), measures and len(text) <= _LONGEST

    def _is_of_one(self, hole: Hole, before: str) -> bool:
        """Return whether a line is of one of several classes, by the count in it."""
        counts = hole.value is not None and role(hole.value, self._around) is not None
        return counts and _OF_SEVERAL.search(before) is not None

    def _name(self, hole: Hole, before: str) -> tuple[str, bool, bool]:
        """Return what a hole holds, "" for nothing; whether that makes a line progress, and is the name printed.

        By what is printed before it, or by what the code calls it.
        """
        if hole.value is None:
            return "", False, False
        counted = role(hole.value, self._around)
        if counted is not None and not (counted and hole.decimal):  # no count has a decimal point
            judges = bool(self._part) and counted not in ("epoch", "epochs")  # an evaluation's batches, or classes
            return "" if judges or _OF_SEVERAL.search(before) else counted, False, False
        found = _BEFORE.search(_COUNT_WORD.sub("", before, count=1)[-_LONGEST_NAME:])
        printed = series_name(found["name"]) if found and not _UNIT.fullmatch(found["name"]) else ""
        printed = "" if printed in CONNECT or not NAME.fullmatch(printed) else printed
        name = series_name(called(hole.value))
        name = name if NAME.fullmatch(name) else ""
        name = bare if is_outcome(bare := _CAME_ABOUT.sub("", name)) else name
        printed = of_part(printed, name) if printed in PARTS and name else printed
        if RECORD.match(printed or name) or _NO_NEWS.match(printed or name) or _RATE.match(printed):
            return "", False, False
        if any(is_outcome(one) or is_companion(one) for one in (printed, name)):
            known = any(_is_worth_it(one, decimal=hole.decimal) for one in (printed, name))
            return printed or name, known, bool(printed)
        either = printed or name
        beside = BESIDE.search(printed) or BESIDE.search(name) or not is_worth_naming(either)
        short = len(either) < 3 and printed not in _LETTERS
        return ("" if beside or short or not hole.decimal else either), False, bool(printed)


def _is_worth_it(name: str, *, decimal: bool) -> bool:
    """Return whether a line is progress for what it calls so; `decimal`: it is printed with a decimal point."""
    if is_outcome(name):
        return True
    return is_companion(name) and not _BESIDE_OTHERS.search(name) and (decimal or not _VAGUE.search(name))


def _ends_loop(node: ast.If) -> bool:
    """Return whether what stands below an `if` comes at the end of a loop: of an episode."""
    return isinstance(node.body[-1], ast.Break) or _ENDED.search(ast.unparse(node.test)) is not None


def _is_name(line: Sequence[Piece]) -> bool:
    """Return whether a string is a file's name or a key, by what stands beside its holes."""
    spaced = any(isinstance(piece, str) and " " in piece.strip() for piece in line)
    of_before = _OF_PATH_BEFORE if spaced else _OF_NAME_BEFORE
    of_behind = _OF_PATH_BEHIND if spaced else _OF_NAME_BEHIND
    for at, piece in enumerate(line):
        if isinstance(piece, Hole):
            before, behind = (line[one] if 0 <= one < len(line) else "" for one in (at - 1, at + 1))
            if isinstance(before, str) and of_before.search(before):
                return True
            if isinstance(behind, str) and of_behind.match(behind):
                return True
    return False

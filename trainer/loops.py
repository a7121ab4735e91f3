"""What a number that code prints counts: steps, epochs, batches of one, or how many of them there are.

By the loop that it is the counter of, or how often that runs; else by its name. Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trainer.holes import called, last_name
from trainer.names import is_companion, is_outcome, series_name

_EPOCH = re.compile(r"(?:^|_)(?:epochs?|ep)(?:_|$)|epoch$|^e$")
_STEP = re.compile(
    r"(?:^|_)(?:(?:global_?|time)?steps?|iter(?:ation)?s?|niter|itr?s?|updates?|episodes?|rounds?|trials?|gen(?:eration)?s?"
    r"|batch(?:_?idx|es)?|i|idx|nbatch)(?:_|$)"
)
_MANY = re.compile(r"^(?:n|num|max|total|nb)_|_(?:num|max|total)$|s$")
_IS_EPOCH = re.compile(
    r"(?:cur_|current_|i_|this_)?(?:epoch|ep)(?:_(?:i|idx|index|id|num|number|no|nr|count))?|e|iepoch"
)
_NOW = re.compile(r"(?:cur|current|now|this|global|i)_")
_STEPS = re.compile(r"(?:steps|iters|itrs|iterations|updates|episodes|rounds|trials|generations|it|iter)$")
_TOOK = re.compile(r"(?:^|_)(?:time|secs?|seconds|lr|duration|elapsed|size|eta)(?:_|$)")
_BATCHES = re.compile(r"loader|batches|dataset|data$|iter")
_IN_BATCHES = frozenset({"i", "it", "idx", "batch_idx"})  # counts of a function that is given the epoch
_BARS = ("tqdm", "track", "progress_bar", "list")  # what may stand around what is looped over
_RANGES = ("range", "trange", "xrange")
_NAMED = 3  # characters of a name that says something
_MOST_TIMES = 10**9
MANY_OF = {"step": "steps", "epoch": "epochs", "batch": "batches"}


@dataclass(frozen=True)
class Loop:
    """A loop."""

    role: str  # what it counts: "step", "epoch", "batch"; "piece" for what it does not count, "" for a few words
    counter: str = ""
    bound: str = ""  # the code of how often it runs
    times: int | None = None  # how often that is, where the code says it
    bar: str = ""  # the variable with the bar around it, "" where there is none
    spent: Collection[str] = ()  # variables that count how long a loop within it took, anew each time


@dataclass(frozen=True)
class Around:
    """What is around a statement."""

    loops: Sequence[Loop]  # from within
    in_epoch: bool  # a function that is given the epoch
    lengths: Mapping[str, ast.expr]  # variables that hold a `len(...)`
    grown: Collection[str]  # variables that are added to, and that no loop sets back
    added: Collection[str] = ()  # and that are added to at all: "total_steps += 1" is no total


def names_epoch(name: str) -> bool:
    """Return whether an argument of this name, in lower case, is an epoch's number."""
    return _IS_EPOCH.fullmatch(name) is not None


def is_looped_over(value: ast.expr) -> bool:
    """Return whether a variable may hold this to loop over it: "bar = tqdm(range(10))"."""
    return isinstance(value, ast.Call) and last_name(value.func) in (*_BARS, *_RANGES, "enumerate")


def loop(
    node: ast.For | ast.AsyncFor, numbers: Mapping[str, int | None], held: Mapping[str, ast.expr], *, in_epoch: bool
) -> Loop:
    """Return what a loop counts, within an epoch or not.

    `numbers` and `held`: variables that hold a number, or what is looped over.
    """
    times, bar = None, node.iter.id if isinstance(node.iter, ast.Name) else ""
    match _bare(held.get(bar, node.iter)), node.target:
        case ast.Call(func=function, args=[first, *more]), ast.Name(id=counter) if last_name(function) in _RANGES:
            bound = ast.unparse(more[0] if more else first)
            times = _times([first, *more], numbers)
        case ast.Call(func=function, args=[over, *_]), ast.Tuple(elts=[ast.Name(id=counter), *more]) if (
            last_name(function) == "enumerate"
        ):
            if more and _is_range(held.get(last_name(over), over)):  # `for _, epoch in enumerate(tqdm(range(9)))`
                return loop(ast.For(more[0], over, [], []), numbers, held, in_epoch=in_epoch)
            bound = f"len({ast.unparse(_bare(over))})"
            if len(counter) < _NAMED and not in_epoch and not _BATCHES.search(bound.lower()):
                return Loop("piece")  # over results, mostly
        case ast.List() | ast.Tuple(), _:
            return Loop("")  # over "train" and "val"
        case _:
            return Loop("piece")
    if not in_epoch and (_EPOCH.search(counter.lower()) or "epoch" in bound.lower()):
        return Loop("epoch", counter, bound, times, bar)
    return Loop("batch" if in_epoch or "batch" in counter.lower() else "step", counter, bound, times, bar)


def whole(value: ast.expr, numbers: Mapping[str, int | None]) -> int | None:
    """Return the whole number that an expression is, None where only the run knows it."""
    match value:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return numbers.get(name)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            left, right = whole(value.left, numbers), whole(value.right, numbers)
            if left is None or right is None:
                return None
            return left + right if isinstance(value.op, ast.Add) else left - right
    return None


def _times(arguments: Sequence[ast.expr], numbers: Mapping[str, int | None]) -> int | None:
    """Return how often a range runs, None where that is not known or its stride is not one."""
    found = [whole(one, numbers) for one in arguments[:2]]
    first, last = (0, *found)[-2:]
    if len(arguments) > 2 or first not in (0, 1) or last is None:
        return None
    times = last - first
    return times if 0 < times < _MOST_TIMES else None


def grown(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Return the variables of a function that it adds to in a loop within a loop, and sets back in none.

    They count from its start: one that is added to in a single loop may begin anew with each call.
    """
    added, again = set[str](), set[str]()
    for node, deep in _nodes(body):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and deep > 1:
            added.add(last_name(node.target))
        if isinstance(node, ast.Assign | ast.AnnAssign) and deep:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            again |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return frozenset(added - again - {""})


def spent(body: Sequence[ast.stmt]) -> frozenset[str]:
    """Return the variables of a loop that count a loop within it, and begin anew each time: an episode's steps."""
    added, again, counters = set[str](), set[str](), set[str]()
    for node, deep in _nodes(body):
        match node:
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=ast.Constant()) if deep:
                added.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int())) if not deep:
                again.add(name)
            case ast.For(target=target):
                counters |= {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}
    return frozenset(added & again | counters)


def _nodes(body: Sequence[ast.stmt]) -> Iterator[tuple[ast.AST, int]]:
    """Yield what a function or a loop does, and how many loops deep in it."""
    waiting: list[tuple[ast.AST, int]] = [(one, 0) for one in body]
    while waiting:
        node, deep = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node, deep
            deep += isinstance(node, ast.For | ast.AsyncFor | ast.While)
            waiting += [(child, deep) for child in ast.iter_child_nodes(node)]


def is_spent(value: ast.expr | None, around: Around) -> bool:
    """Return whether a value counts how long a loop took that stands before it, or one more or less than that."""
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        value = value.left
    if not isinstance(value, ast.Name) or not around.loops or value.id not in around.loops[0].spent:
        return False
    return all(value.id != one.counter for one in around.loops)  # a loop within it may use its own counter's name


def added(tree: ast.AST) -> frozenset[str]:
    """Return the variables that code adds to."""
    all_ = (one for one in ast.walk(tree) if isinstance(one, ast.AugAssign) and isinstance(one.op, ast.Add))
    return frozenset(last_name(one.target) for one in all_) - {""}


def is_grown(value: ast.expr | None, around: Around) -> bool:
    """Return whether a value is such a variable, or one more or less than it."""
    if isinstance(value, ast.BinOp) and isinstance(value.right, ast.Constant):
        value = value.left
    return value is not None and last_name(value) in around.grown and role(value, around) == "step"


def role(value: ast.expr, around: Around) -> str | None:
    """Return what a number counts, or how many of that there are; "" for a count of another kind, None for no count."""
    if isinstance(value, ast.Name):
        value = around.lengths.get(value.id, value)
    match value:
        case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=int())) | ast.BinOp(op=ast.FloorDiv()):
            return role(value.left, around)
        case ast.BinOp():
            return _of_several(value, around)
        case ast.Name() if is_spent(value, around):
            return ""
        case ast.Name() | ast.Attribute() | ast.Subscript() | ast.Call():
            code = ast.unparse(value)
            for at, one in enumerate(around.loops):
                if code == one.counter:
                    return "" if _is_outer(one, around.loops[:at]) or _is_in_piece(one, around.loops) else one.role
                if code == one.bound:
                    return MANY_OF[one.role]
            if not isinstance(value, ast.Call):
                return _by_name(called(value), around)
            over = ast.unparse(value.args[0]) if value.args and last_name(value.func) == "len" else ""
            return "batches" if _BATCHES.search(over.lower()) else None
    return None


def _of_several(value: ast.BinOp, around: Around) -> str | None:
    """Return what a number counts that is reckoned from counts; a loss over how many there were counts nothing."""
    name = series_name(called(value))
    if is_outcome(name) or is_companion(name):
        return None
    names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    counters = {one.counter: one.role for one in around.loops}
    if any(_EPOCH.search(name.lower()) or counters.get(name) == "epoch" for name in names):
        return "step" if isinstance(value.op, ast.Add) else ""  # epoch * batches + batch
    return "" if names & counters.keys() else None


def _by_name(called_so: str, around: Around) -> str | None:
    name = series_name(called_so)
    if is_outcome(name) or is_companion(name) or _TOOK.search(name):
        return None
    many = _MANY.search(name) and not _NOW.match(name)
    is_added = called_so in around.added
    if _EPOCH.search(name):
        return "epochs" if many and not is_added else "epoch"
    if many and _STEPS.search(name):
        return "steps" if not is_added else "step" if called_so in around.grown else ""
    if _STEP.search(name):
        return "batch" if "batch" in name or (around.in_epoch and name in _IN_BATCHES) else "step"
    return None


def _is_outer(loop: Loop, inner: Sequence[Loop]) -> bool:
    """Return whether a loop is of whole runs: there are epochs within it, or steps."""
    return loop.role == "step" and any(one.role in MANY_OF for one in inner)


def _is_in_piece(loop: Loop, loops: Sequence[Loop]) -> bool:
    """Return whether batches are counted within a piece of an epoch: they begin anew more often than it does."""
    if loop.role != "epoch":
        return False
    roles = [one.role for one in loops if one.role]
    return roles[:1] == ["batch"] and any(one in ("batch", "piece") for one in roles[1 : roles.index("epoch")])


def _is_range(over: ast.expr) -> bool:
    over = _bare(over)
    return isinstance(over, ast.Call) and last_name(over.func) in _RANGES


def _bare(over: ast.expr) -> ast.expr:
    """Return what is looped over without a bar around it."""
    while isinstance(over, ast.Call) and over.args and last_name(over.func) in _BARS:
        over = over.args[0]
    return over

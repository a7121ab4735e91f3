"""Strings as code puts them together, the holes in them, and what the code calls the values that stand there.

    f"loss {loss.item():.3f}"    "loss %.3f" % loss.item()    "loss {:.3f}".format(loss.item())    "loss " + str(loss)

are one: "loss ", and a hole that holds a number called "loss". Pure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from string import Formatter
from typing import NamedTuple

_DEEPEST = 60  # expressions within expressions
_PERCENT = re.compile(
    r"%(?:%|(?:\((?P<key>\w+)\))?[-#0 +]*(?P<width>\*|\d+)?(?:\.(?P<digits>\*|\d+))?[hlL]?(?P<type>[diouxXeEfFgGcrsa]))"
)
_DECIMAL = "eEfFgG%"  # formats of numbers with a decimal point
_FIELD = re.compile(r"[^.\[\]]+")  # "meter.avg", "0[loss]"
_LONGEST = 2_000  # characters of a string that may be a line
_LINE_ENDS = re.compile(r"[\r\n]+")
# What is around a measurement and says nothing of it: "loss.item()", "float(np.mean(losses))", "meter.avg".
_AROUND = frozenset({
    "float", "int", "round", "mean", "average", "sum", "item", "cpu", "detach", "numpy", "abs", "str",
    "tolist", "median", "nanmean", "format", "to", "squeeze", "compute", "result", "avg", "get", "data", "value", "val",
    "global_avg", "smoothed_value",
})  # fmt: skip


class Hole(NamedTuple):
    """Where a value stands."""

    value: ast.expr | None  # None where it is not known
    decimal: bool = False  # its format is that of numbers with a decimal point


Piece = str | Hole
Named = Callable[[str], Sequence[Piece]]  # what a variable's string is put together of, nothing for another variable


def pieces(node: ast.expr, named: Named) -> Sequence[Piece]:
    """Return what a string is put together of, nothing where `node` is no string that is known."""
    try:
        return _pieces(node, named)
    except (ValueError, RecursionError):  # a format that is none
        return []


def _pieces(node: ast.expr, named: Named, deep: int = 0) -> Sequence[Piece]:
    if deep > _DEEPEST:
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Name):
        return named(node.id)
    if isinstance(node, ast.JoinedStr):
        return [piece for part in node.values for piece in _of_f_string(part, named, deep)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        return by_percent(_text(_pieces(node.left, named, deep + 1)), values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _pieces(node.left, named, deep + 1), _pieces(node.right, named, deep + 1)
        return [*(left or [Hole(node.left)]), *(right or [Hole(node.right)])] if left or right else []
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return _by_format(_text(_pieces(node.func.value, named, deep + 1)), node)
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "join"
        and node.args
        and isinstance(node.args[0], ast.List | ast.Tuple)
        and (separator := _text(_pieces(node.func.value, named, deep + 1)))
    ):
        return joined(node.args[0].elts, separator, named)
    if isinstance(node, ast.Call) and last_name(node.func) in ("str", "repr") and len(node.args) == 1:
        return [Hole(node.args[0])]
    return []


def joined(arguments: Sequence[ast.expr], separator: str, named: Named) -> Sequence[Piece]:
    """Return what `print` puts together of its arguments."""
    found: list[Piece] = []
    for at, argument in enumerate(arguments):
        found += [separator] if at else []
        found += pieces(argument, named) or [Hole(None if isinstance(argument, ast.Starred) else argument)]
    return found


def lines(found: Sequence[Piece]) -> Sequence[Sequence[Piece]]:
    """Return the lines of a string, each by its pieces."""
    split: list[list[Piece]] = [[]]
    for piece in found:
        if isinstance(piece, Hole):
            split[-1].append(piece)
            continue
        first, *more = _LINE_ENDS.split(piece)
        split[-1].append(first)
        split += [[one] for one in more]
    return split


def by_percent(text: str, values: Sequence[ast.expr]) -> Sequence[Piece]:
    """Return the pieces of a text with values behind a percent sign, as loggers take them, too."""
    found: list[Piece] = []
    at, left = 0, list(values)
    for match in _PERCENT.finditer(text):
        found.append(text[at : match.start()])
        at = match.end()
        if match["type"] is None:
            found.append("%")
        elif match["key"] is not None:
            found += _held(_of_dict(values[0], match["key"]) if values else None, match["type"])
        else:
            left = left[(match["width"] == "*") + (match["digits"] == "*") :]
            if left and isinstance(left[0], ast.Starred):
                left = []  # as many as the run has
            found += _held(left[0] if left else None, match["type"])
            left = left[1:]
    return [*found, text[at:]] if text else []


def _by_format(text: str, call: ast.Call) -> Sequence[Piece]:
    found: list[Piece] = []
    named = {one.arg: one.value for one in call.keywords if one.arg}
    others = any(one.arg is None for one in call.keywords)  # `**stats`: what a value is called there
    count = 0
    for literal, key, spec, _ in Formatter().parse(text):
        found.append(literal)
        if key is None:
            continue
        first, *within = _FIELD.findall(key) or [""]
        at, count = (int(first), count) if first.isdigit() else (count, count + (not first))
        if first and not first.isdigit():
            value = named.get(first, ast.Name(id=first) if others else None)
        else:
            value = _at(call.args, at)
        for name in within:
            value = value and ast.Attribute(value=value, attr=name)
        count += (spec or "").count("{}")
        found += _held(value, spec or "")
    return found


def _at(values: Sequence[ast.expr], at: int) -> ast.expr | None:
    """Return a call's argument, None where a star before it hides which one it is."""
    hidden = at >= len(values) or any(isinstance(one, ast.Starred) for one in values[: at + 1])
    return None if hidden else values[at]


def _of_f_string(part: ast.expr, named: Named, deep: int) -> Sequence[Piece]:
    if not isinstance(part, ast.FormattedValue):
        return _pieces(part, named, deep + 1)
    if isinstance(part.value, ast.Constant | ast.JoinedStr) and (inner := _pieces(part.value, named, deep + 1)):
        return inner
    last = part.format_spec.values[-1:] if isinstance(part.format_spec, ast.JoinedStr) else []
    return _held(part.value, str(last[0].value) if last and isinstance(last[0], ast.Constant) else "")


def _held(value: ast.expr | None, spec: str) -> Sequence[Piece]:
    """Return a hole with a value of this format; a share is followed by its sign."""
    hole = Hole(value, decimal=bool(spec) and spec[-1] in _DECIMAL)
    return [hole, "%"] if spec.endswith("%") else [hole]


def _text(found: Sequence[Piece]) -> str:
    """Return a string that has no holes yet, "" for any other."""
    text = "".join(piece for piece in found if isinstance(piece, str))
    return text if len(text) <= _LONGEST and not any(map(_is_hole, found)) else ""


def _is_hole(piece: Piece) -> bool:
    return isinstance(piece, Hole)


def _of_dict(value: ast.expr, key: str) -> ast.expr:
    """Return what a dict holds that may stand there, or what it is called in it."""
    if isinstance(value, ast.Dict):
        for name, one in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and name.value == key:
                return one
    return ast.Name(id=key)


def last_name(node: ast.expr) -> str:
    """Return what a function or a variable is called, without what it is of."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def called(value: ast.expr) -> str:
    """Return what the code calls a value, "" where it has no name for it: `losses.avg` is called "losses"."""
    for _ in range(_DEEPEST):
        match value:
            case ast.Name():
                return value.id
            case ast.Attribute():
                if value.attr not in _AROUND:
                    return value.attr
                value = value.value
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                return key
            case ast.Subscript():
                value = value.value
            case ast.Call(func=ast.Attribute(attr=name) as method) if name in _AROUND and not value.args:
                value = method.value
            case ast.Call() if last_name(value.func) in _AROUND and value.args:
                value = value.args[0]
            case ast.Call():
                return last_name(value.func)
            case ast.BinOp(op=ast.Div() | ast.Mult() | ast.FloorDiv()):
                value = value.right if isinstance(value.left, ast.Constant) else value.left
            case ast.UnaryOp():
                value = value.operand
            case ast.IfExp():
                value = value.body
            case _:
                return ""
    return ""

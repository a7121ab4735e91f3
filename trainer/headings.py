"""What stands before a line or above it: a logger's prefix, and lines that only say where what follows belongs.

Pure: one line at a time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from trainer.counts import Counts, counts
from trainer.names import is_companion, is_outcome, may_measure, series_name
from trainer.numbers import measurements

_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|SUCCESS"
_CLOCK = r"\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_TIME = rf"(?:{_CLOCK}|\d\d:\d\d(?![:.,]?\d))"
# What loggers put before a line: processes, times, levels, names, places in the source.
_PREFIX = re.compile(
    rf"""(?:
        \[[a-z]+\]\ (?=\d{{4}}-\d\d-\d\d\ )                                # torchtitan's own name
        |\(\w+\ pid=\d+[^)]*\)\s*                                             # Ray
        |[IWEF]\d{{4}}\ {_CLOCK}\s+\d+\ \S+?\]\s*                            # glog
        |\[\d{{4}}-\d\d-\d\d\ {_CLOCK}\ (?:{_LEVELS})\ \S+\ line\ \d+\ \d+\]\s*    # a place in the source, a process
        |[\[(<]?\d{{4}}[-/]\d\d[-/]\d\d(?:[T\ _,]\s?{_TIME})?(?:\ [AP]M|\ [A-Za-z][\w.-]*(?=\]))?[\])>]?[\s,|:-]*
        |(?<=,\d{{3}}\])\[\d+\]\s+(?=\D)                                       # a process behind its time
        |[\[(<]?\d\d-\d\d\ {_CLOCK}[\])>]?[\s,|:-]*
        |[\[(<]?\d\d?/\d\d(?:/\d\d(?:\d\d)?)?\ {_CLOCK}(?:\ [\w.]+)?[\])>]?:?[\s,|:-]*
        |\d:\d\d:\d\d\ -\ +                                                    # since it began
        |\d\d?\ [A-Z][a-z][a-z]\ \d\d:\d\d(?::\d\d)?\s+(?=(?:{_LEVELS})\s)
        |[\[(<]?{_CLOCK}[\])>]?(?=[\s|-])[\s,|-]*
        |[\[(<|]?\s*(?:{_LEVELS}|Info|Debug)\s*[\])>|]?[\s:|-]+(?:(?:root|__main__|[a-z_][\w.]*)(?:[.:][\w<>]+)*(?::\d+)?\s*(?:-\s+|:\s*(?=\S)(?!\d))|[A-Z][a-z0-9]*[A-Z]\w*\s-\s+)?
        |\[\d\d\.\d\d\.\d\d\|{_CLOCK}\]\s*
        |\[\w*Thread(?:-\d+)?\]\ (?=(?:{_LEVELS})\ )
        |P\d+\ (?=(?:{_LEVELS})\ )                                           # a process
        |\[(?:[A-Za-z_]\w*\.)*(?:[a-z_]\w*\](?=\[|\s-)|[A-Za-z]\w*\](?=\[\d\d-\d\d\ ))    # [package.module][INFO]
        |[a-z_][\w.]*\ +:\ (?:{_LEVELS})\s+(?=\S)
        |[\[(]?[\w./]+\.py[:\ ]\s{{0,3}}\d+(?::\w+)?[\])]?[\s:|-]*
        |(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*\s+(?:-\s+(?=(?:{_LEVELS})\b)|(?=(?:INFO|DEBUG)\b))
        |(?:[\w.-]+:\d+\s+){{1,2}}(?=(?:{_LEVELS})\s)                        # a host's rank, a place in the source
    )+""",
    re.VERBOSE,
)
_PART = re.compile(
    r"^[\W_]*(?:(?:cross|running|starting|start|begin|performing|final|end of|the|on|model) )*"
    r"(?P<part>train(?:ing)?|val(?:id(?:ation|ating)?)?|test(?:ing)?|eval(?:uat(?:ion|ing|e))?|dev)"
    r"(?:[\s_-]+(?:set|phase|split|results?|metrics?|scores?|stats|statistics|performance|summary|report|error|loop|data|dataset|step|epoch|mode|perplexity|accuracy|reward|model|at|on|the|dev|test|evaluation"
    r"|begins?|started|finished|done|completed?))*[\W_]*$",
    re.IGNORECASE,
)
_PART_EPOCH = re.compile(r"(?P<part>train|val(?:id\w*)?|test|eval\w*)(?: \d{1,9}){1,2}", re.IGNORECASE)  # "Val 3"
_OF_EPOCHS = re.compile(r"\(\d+/\d+\)\W*$")  # "Epoch 3 (3/8):", alone on its line, counts no batches
_PART_COUNT = re.compile(r"(?P<part>val(?:id\w*)?|test|eval\w*)\W{1,3}\d+/\d+", re.IGNORECASE)  # "Test: [2/4]"
_PARTS = {"tr": "", "va": "val", "te": "test", "ev": "eval", "de": "dev"}
_COUNTS = ("epoch", "step", "iter", "episode", "round", "batch", "update", "generation")
_PART_WORDS = ("train", "val", "test", "dev")
_FEW = 14  # words that a heading has at most, with a logger's before it
# What a line may say beside its count, and still be a heading.
_BESIDE = re.compile(
    r"\b(?:time|eta|elapsed|start(?:ing|ed)?|begin(?:s|ning)?|running|training|train|learning|now|processing|summary|of|completed?|finished|done|in|epoch|fps|s|sec|ms|h|m|min"
    r"|the|is|for|taken|elapse|cost)\b"
    r"|[\W\d_]+",
    re.IGNORECASE,
)
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?)"
# Beside a heading's count: what it took, when it was, what stands in parentheses.
_ASIDE = re.compile(
    rf",?\s\b(?:time|took|elapsed)\b[\s:=]*\d+(?:\.\d+)?(?:\s?{_UNIT}\b)?(?=\s|$)"
    r"|\s\((?!\s*\d+\s*[/),])[^()]*\)|\s@|\s\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?$"
    rf"|(?:\b(?:in|is|took|time|elapsed)\b)?[\s:=]*[(\[]?\d+(?:\.\d+)?\s?{_UNIT}\b[)\]]?"
)
_MAY_BE_ASIDE = re.compile(r"\(|@|time|took|elapsed| in |\d-\d\d ")
_NUMBERS = re.compile(r"\d\.\d|%\||=[-\d.]")
_WHOLE = re.compile(r"(?P<name>[a-z]\w*)\s?[:=]\s?\d+(?![\w.])", re.IGNORECASE)  # "episode_len:21"
_MORE = re.compile(r"\d\.\d|%\||=[-\d.]|\w: \S+ \w")  # numbers and names of something else

# What the code's own loggers put before each message: format="%(relativeCreated) 9d %(message)s"
_FORMAT = re.compile(r"""["']([^"'\n{]{1,200})%\(message\)s""")
_MOST = 8  # that are known: each line is held against them
_JOINED = re.compile(r"""(["'])\s+\1""")  # "a string " "in two parts"
_FIELD = re.compile(r"%\((?P<name>\w+)\)[-0# ]*(?P<width>\d{0,2})(?:\.\d+)?[a-z]")
_COLOUR = re.compile(r"\\(?:033|x1b|u001b)\[[\d;]*m")
# As a field is printed, and what it looks like: bounded, as a line may be made of nothing else.
_WHEN = "2026-11-02 10:00:00,123", r"[\w/., -]{0,24}?\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: [AP]M)?(?![\d:])"
_INTEGER, _CALLED = ("12", r"\d{1,20}(?:\.\d{1,20})?(?!\d)"), ("train", r"[A-Za-z_<][\w.<>/-]{0,100}")
_PAD = r"\s{0,99}"
_INTEGERS = ("relativeCreated", "process", "thread", "lineno", "msecs", "created", "levelno")
_FIELDS = {"asctime": _WHEN, "levelname": ("INFO", _CALLED[1]), **dict.fromkeys(_INTEGERS, _INTEGER)}
_TOLD_APART = re.compile(r" {3}\d|\d.*[^\w\s]|[^\w\s].*\d")  # from a count, or a word, that a line begins with


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What a line that measures nothing says of those below it."""

    part: str | None = None  # of the data; "" for the training's own
    counts: Counts | None = None


def _holds(lower: str, words: Sequence[str]) -> bool:
    for word in words:  # noqa: SIM110  as cheap as it gets
        if word in lower:
            return True
    return False


def heading(text: str) -> Heading | None:
    """Return what `text` heads, or None if it is more than a heading, or none."""
    if text[0] in "vVtTeE" and (counted := _PART_COUNT.match(text)) and not measurements(text, stepped=True):
        return Heading(part=_PARTS[counted["part"][:2].lower()])
    if text[-7:] == " Stats:" and (found := counts(text)) and not may_measure(found.rest.lower()):
        return Heading(counts=found)  # torchbeast's and DouZero's, over a dict
    lower = text.lower()
    counting = _holds(lower, _COUNTS) or (" = " in lower and "/" in lower)  # "t = 6 / 137"
    if text.count(" ") > _FEW or not (counting or _holds(lower, _PART_WORDS)):
        return None
    text = without_prefix(text)
    if not text:
        return None
    if (numbered := _PART_EPOCH.fullmatch(text)) is not None:
        return Heading(part=_PARTS[numbered["part"][:2].lower()])
    if ("loss" in lower or "acc" in lower or "reward" in lower) and _NUMBERS.search(text):
        return None
    if _MAY_BE_ASIDE.search(lower):
        text = _ASIDE.sub(" ", text)
    if text[-1] != "]" and _NUMBERS.search(text):  # OLMo's "[step=10/240,epoch=0]" is one
        return None
    found = counts(text) if counting else None
    rest = found.rest if found else text
    rest = _WHOLE.sub(_unless_measured, rest) if found else rest
    if _MORE.search(rest):
        return None
    part = _PART.match(rest)
    if part is None and (found is None or (text[-1:] != ":" and _BESIDE.sub("", rest))):
        return None
    if found is not None and found.within and found.step == found.epoch and _OF_EPOCHS.search(text):
        found = found._replace(epochs=found.total, step=None, total=None, within=False)
    return Heading(part=_PARTS[part["part"][:2].lower()] if part else None, counts=found)


def _unless_measured(found: re.Match[str]) -> str:
    name = series_name(found["name"])
    return found.group() if is_outcome(name) or is_companion(name) else ""


@lru_cache(maxsize=4)  # several readers ask about one line
def without_prefix(text: str) -> str:
    """Return `text` without what a logger put before it."""
    found = _PREFIX.match(text)
    return text[found.end() :] if found else text


class Prefixes:
    """What the loggers of some code put before each message, where that is not known without it."""

    def __init__(self, sources: Sequence[str] = ()) -> None:
        """Read them."""
        found = [text for one in sources if "%(message)s" in one for text in _FORMAT.findall(_JOINED.sub("", one))]
        texts = {_COLOUR.sub("", text).replace("\\t", "\t") for text in found}
        self._known = [_pieces(text) for text in sorted(texts, key=len, reverse=True) if _is_news(text)][:_MOST]

    def without(self, line: str) -> str:
        """Return a line without the prefix that it has."""
        for pieces in self._known:
            if end := _end(pieces, line):
                return line[end:]
        return line


def _is_news(text: str) -> bool:
    shown = _FIELD.sub(lambda one: _FIELDS.get(one["name"], _CALLED)[0].rjust(int(one["width"] or 0)), text)
    return _TOLD_APART.search(shown) is not None and without_prefix(f"{shown}x 1") != "x 1"


def _pieces(text: str) -> Sequence[re.Pattern[str]]:
    """Return what a format's fields look like, each with the text behind it, the first with that before it, too."""
    fields = list(_FIELD.finditer(text))
    looks = [_look(one) for one in fields]
    ends = [one.start() for one in fields[1:]] + [len(text)]
    pieces = [] if fields else [re.compile(re.escape(text))]
    for at, (one, end) in enumerate(zip(fields, ends, strict=False)):
        before = re.escape(text[: one.start()]) if at == 0 else ""
        # A name may hold what stands behind it: it ends where the next field can begin, the last one as late as it can.
        look, behind = (looks[at], "") if at + 1 == len(fields) else (_soon(looks[at]), rf"(?={looks[at + 1]})")
        pieces.append(re.compile(before + look + re.escape(text[one.end() : end]) + behind))
    return pieces


def _look(field: re.Match[str]) -> str:
    (_, look), width = _FIELDS.get(field["name"], _CALLED), field["width"]
    if not width:
        return look
    return _PAD + look + (rf"(?<=[ \d.]{{{width}}})" if look == _INTEGER[1] else _PAD)


def _soon(look: str) -> str:
    return look.replace("{0,100}", "{0,100}?")


def _end(pieces: Sequence[re.Pattern[str]], line: str) -> int:
    """Return where a prefix ends, 0 where there is none; no field is looked at again for one behind it."""
    at = 0
    for one in pieces:
        if (found := one.match(line, at)) is None:
            return 0
        at = found.end()
    return at

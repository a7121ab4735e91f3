"""Lines in nobody's format in particular: counts, names and numbers in the spellings that people have for them.

A line that counts is worth more than one that does not: beside a count fewer words make a measurement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from trainer.counts import Counts, counts, trailing
from trainer.formats import Reading
from trainer.headings import without_prefix
from trainer.names import evaluation_of, is_companion, is_of_evaluation, is_outcome, may_measure, series_name
from trainer.numbers import NUMBER, anything, measurements, metered, number

_NOTHING: Mapping[str, float] = {}
_EVALUATION = re.compile(
    r"^\W*(?:\d[\d:,. -]*\s|EP\d+_)?"  # a log's time; codertimo's "EP0_test, avg_loss= 7.9"
    r"(?:eval(?:uating)? (?=t|v|d|e)|stage\.)?(?P<word>dev|val|valid|validat(?:ion|ing|e(?=\s*[:\[|]|\s+step\b))"
    r"|eval|evaluat(?:ion|e(?=\s*[:\[|]))|test|testing"
    r"|train(?:ing)?(?= results?| metrics?)|(?<=evaluating )train)"
    r"\b(?! every)[^=]{0,12}?[:\s]",
    re.IGNORECASE,
)
# What names its part before its first value: "polyak eval epoch: 1, loss: 0.3", "VB Epoch 1: test NLL 2.1, acc 0.5".
_PART_WORD = re.compile(
    r"(?P<word>(?<![\w/.=@-])(?:val|valid|validation|eval|evaluation|test|dev)(?![\w/.=-]| every)"
    r"|验证|评估|测试|validación|validazione)",
    re.IGNORECASE,
)
_FIRST_VALUE = re.compile(r"[:=→➜]\s*[-+.\d]|->|\s\d*\.\d")
_FIRST = 60  # characters in which it does
_WORDS = {
    "验证": "val",
    "评估": "eval",
    "测试": "test",
    "validación": "val",
    "validazione": "val",
    "validating": "val",
    "validate": "val",
    "evaluate": "eval",
    "testing": "test",
}
# A step's time; a name that ends in "_time" tells of the whole run.
_MILLISECONDS = re.compile(rf"(?<!_time)(?:^|[\s:=,|])(?P<ms>{NUMBER})\s*ms\b(?!/)")
# A count that leads the line, "[3/10] loss 0.3", or two of them: epochs and batches. No date does.
_LEADING = re.compile(
    r"^(?:(?i:train(?:ing)?)\s*\|\s*)?\W{0,3}(?P<n>\d[\d,]*)(?:\s*/\s*(?P<total>\d+)(?![\d/])|(?=:|\s?[|;]|\]|>|,\s+[a-z]\w*(?:\s[a-z]\w*)?\s?[=:]))[\]):|;>,\s]+(?!\d\d:)"
    r"(?:\[?(?P<inner>\d+)\s*/\s*(?P<inners>\d+)(?:\s?\(\s?\d+\s?%\))?[\]):|\s]+)?"
)
_TWO = re.compile(r"\[\s*(?P<n>\d+)\s*/\s*(?P<total>\d+)\s*\]\s*\[\s*(?P<inner>\d+)\s*/\s*(?P<inners>\d+)\s*\]")
# A part of the data and its epoch: "Train 0, loss: 0.654559, train acc: 0.517264".
_OF_DATA = re.compile(r"(?P<part>train(?:ing)?|val(?:id(?:ation)?)?|test|eval)\s+(?P<n>\d+)\s?[,:|]\s", re.IGNORECASE)
# The tutorials' "Accuracy of the network on the 10000 test images: 54 %".
_OF_NETWORK = re.compile(
    r"(?P<name>accuracy|loss|error) of the \w+ on (?:the )?(?:\d+ )?(?P<part>train|val|test)\w* \w+\s*: "
    rf"(?P<value>{NUMBER})",
    re.IGNORECASE,
)
# What stands on either side of its count: "Train loss 25 2.478", "Valid MRR at step 100: 0.31"; and "loss0.686".
_COUNT_INSIDE = re.compile(r"(?P<name>(?:\w+ )?loss) (?P<n>\d+)(?::|(?=\s))\s+(?P<value>\d*\.\d+)", re.IGNORECASE)
_COUNT_BEHIND = re.compile(
    rf"(?P<name>[a-z][\w@ ]*) (?:at|after|for) (?:the )?"
    rf"(?P<count>step|epoch|iter(?:ation)?|episode|round|batch)\s?#?:?\s"
    rf"(?P<n>\d+)(?P<of>\s?/\s?\d+)?\s*(?:[:=]|is|was|->)\s*(?P<value>{NUMBER})",
    re.IGNORECASE,
)
# "train 5 epoch loss: 0.31", "Epoch: 0001 in 0001 Step cost = 18.6"; no "Epoch 3 step loss: 0.31".
_COUNT_BEFORE = re.compile(
    r"(?:^\W{0,4}|\b(?P<before>in |train |test ))(?P<n>\d+) (?P<count>epoch|iteration|steps?)"
    r"(?=[\s:,|>-]{1,3}(?:(?:train|val|valid|test|avg|average|total)\w* )?(?:loss|cost|acc(?:uracy)?|error)\b)",
    re.IGNORECASE,
)
_OF_FACES = re.compile(
    r"\[(?P<data>[a-z]\w*)\]\[(?P<n>\d+)\](?=Accuracy-)"
)  # insightface's "[lfw][20]Accuracy-Flip: 0.5"
# DANN's "accuracy of the MNIST dataset: 0.5".
_OF_DATASET = re.compile(
    r"\b(?P<name>accuracy|loss|error|auc) (?:of|on) the (?P<data>[a-z][\w-]*) (?:data)?set(?=\s?[:=])", re.IGNORECASE
)
# Names in a row before their numbers in a row, as Keras' guides print them: "test loss, test acc: [0.08, 0.97]".
_IN_A_ROW = re.compile(rf"\s?[:=]\s*[\[(]?(?P<values>{NUMBER}(?:(?:,\s?|\s+){NUMBER}){{1,5}})(?![\w.%/:])[\])]?")
_APART = re.compile(r"[,\s]+")
_LAST_NAME = re.compile(r"[A-Za-z][\w@-]*(?: [A-Za-z][\w@-]*)?$")
_GLUED = re.compile(r"loss(?=\d+\.\d\d)")
# All that follows was told before.
_BEST = re.compile(
    r"\W*(?:got )?(?:the |a )?(?:new )?(?:previous )?(?:saving (?:the )?(?:new )?)?"
    r"(?:best|max(?:imum)?(?= (?:ema )?(?:accuracy|acc|auc|f1|score|reward)))(?:_|\b(?! of\b))"
    r"|better model found at|epoch \d+: \w+ improved from",
    re.IGNORECASE,
)
_BEST_ABROAD = re.compile(r"\D*(?:最佳|最好|最优|лучш)")
_BETTER = re.compile(r"(?:decreas|improv|increas)\w* (?:from |\()|\d is the (?:new )?best", re.IGNORECASE)
_MEAN = re.compile(r"\W*(?:mean|average|avg)_", re.IGNORECASE)  # "mean_loss: 7.1"; prose sums up whole runs
# Of a call or a file that is printed, never of what is measured.
_SETTINGS = re.compile(r"\W*(?:hyper-?param\w*|hparams|config\w*|settings|arguments)\W*[:=]", re.IGNORECASE)
_SETTING = re.compile(r"=(?<=\w=)(?:True|False|None)\b")


def stepped_line(text: str) -> Reading | None:
    """Read a line that names its step, or its epoch and a count behind it: nanoGPT's, Megatron's, many people's own."""
    text = _spelled_out(without_prefix(text))
    found = counts(text)
    if found is None or found.step is None:
        return None
    values = _beside(found.rest, epoch=found.epoch is not None or found.episodes)
    if not values:
        return None
    took = _MILLISECONDS.search(found.rest) if "ms" in found.rest else None
    milliseconds = number(took["ms"]) if took else 0.0
    rate = 1000 / milliseconds if milliseconds > 0 else None
    return place(found, judged(found.rest, values), rate)


def _spelled_out(text: str) -> str:
    """Return a line whose count stands within or behind a name with the count first."""
    if "]Acc" in text and (flip := _OF_FACES.search(text)):
        return f"step {flip['n']} | {flip['data']}_{text[flip.end() :]}"
    if ("oss" in text or "ost " in text) and (before := _COUNT_BEFORE.search(text)):
        named = f"{before['before'] or ''}{before['count']} {before['n']} |"
        text = f"{text[: before.start()]}{named}{text[before.end() :]}"
    if "oss" in text:
        if inside := _COUNT_INSIDE.match(text):
            return f"step {inside['n']} | {inside['name']}: {inside['value']} {text[inside.end() :]}"
        text = _GLUED.sub("loss ", text)
    if "," in text:
        text = _told_apart(text)
    if "set" in text and " the " in text:
        text = _OF_DATASET.sub(r"\g<data> \g<name>", text)
    if (" at " in text or " after " in text or " for " in text) and (at := _COUNT_BEHIND.match(text)):
        return f"{at['count']} {at['n']}{at['of'] or ''} | {at['name']}: {at['value']} {text[at.end() :]}"
    return text


def _told_apart(text: str) -> str:
    """Return a line with each number of a row behind its name, where as many names stand before them."""
    row = _IN_A_ROW.search(text)
    if row is None:
        return text
    values = _APART.split(row["values"])
    parts = text[: row.start()].rsplit(",", len(values) - 1)
    first = _LAST_NAME.search(parts[0]) if len(parts) == len(values) else None
    if first is None:
        return text
    named = [first.group(), *(one.strip() for one in parts[1:])]
    if not all(map(_measures, map(series_name, named))):
        return text
    pairs = zip(named, values, strict=True)
    return text[: first.start()] + ", ".join(f"{name}: {value}" for name, value in pairs) + text[row.end() :]


def _measures(name: str) -> bool:
    return is_outcome(name) or is_companion(name)


def place(found: Counts, values: Mapping[str, float] = _NOTHING, rate: float | None = None) -> Reading:
    """Return where a line's counts say that the run stands, with what it brings beside them."""
    return Reading(
        step=found.step,
        total=found.total,
        epoch=None if found.epoch is None else float(found.epoch),
        epochs=found.epochs if found.within else None,
        values=values,
        rate=rate,
        within_epoch=found.within,
        from_either=found.within,
    )


def counted_line(text: str) -> Reading | None:
    """Read a line whose counts have no name."""
    text = without_prefix(text)
    found = _LEADING.match(text) or _TWO.search(text)
    values = measurements(text[found.end() :], stepped=found["total"] is not None) if found else {}
    values = values or (metered(text[found.end() :]) if found and found["inner"] else {})
    if found is None or not values:
        return _trailing(text) if found is None else None
    n, total, inner, inners = (
        int(one.replace(",", "")) if one else None for one in found.group("n", "total", "inner", "inners")
    )
    if n is None or (total is not None and n > total):
        return None
    values = judged(text[found.end() :], values)
    if inner is None:
        return Reading(step=n, total=total, values=values)
    return Reading(step=inner, total=inners, epoch=n, epochs=total, values=values, within_epoch=True, from_either=True)


def _trailing(text: str) -> Reading | None:
    found = trailing(text) if "/" in text and "epoch" not in text.lower() else None
    values = measurements(found.rest, stepped=False) if found else {}
    if found is None or not values:
        return None
    return Reading(step=found.step, total=found.total, values=judged(found.rest, values), within_epoch=True)


def plain_line(text: str) -> Reading | None:
    """Read a line that has measurements and perhaps an epoch, and no step."""
    if is_setting(text):
        return None
    text = without_prefix(text)
    if is_best(text):
        return None
    text = _spelled_out(text)
    if parted := _OF_DATA.match(text):
        values = judged(f"{parted['part']} | ", measurements(text[parted.end() :], stepped=True))
        return Reading(epoch=float(parted["n"]), values=values, epoch_counts=True) if values else None
    if "f the" in text and (of := _OF_NETWORK.match(text)):
        return Reading(values={f"{of['part'].lower()}_{of['name'].lower()}": number(of["value"])})
    found = counts(text) if "ep" in text.lower() else None
    epoch = found.epoch if found else None
    rest = found.rest if found and epoch is not None else text
    values = _beside(rest, epoch=True) if epoch is not None else measurements(text, stepped=False)
    if not values:
        return None
    return Reading(
        epoch=None if epoch is None else float(epoch),
        epochs=found.epochs if found else None,
        values=judged(rest, values),
        epoch_counts=True,
        mean=epoch is None and _MEAN.match(text) is not None,
    )


def is_setting(text: str) -> bool:
    """Return whether a line shows what a run was called with, and no progress."""
    return "=" in text and (_SETTING.search(text) or _SETTINGS.match(text)) is not None


def is_best(text: str) -> bool:
    """Return whether a line tells the best so far, which is no news."""
    lower = text.lower()
    if ("est" in lower or "max" in lower or "better" in lower or "improved" in lower) and _BEST.match(text):
        return True
    if ("creas" in lower or "improv" in lower or " is the " in lower) and _BETTER.search(text):
        return counts(text) is None  # beside a count it is said of what stands before it
    return not text.isascii() and _BEST_ABROAD.match(text) is not None


def names_epoch(lower: str) -> bool:
    """Return whether a line, in lower case, may tell the epoch or the episode that its numbers are of."""
    return "." in lower and ("epoch" in lower or "episode" in lower)


def _beside(text: str, *, epoch: bool) -> Mapping[str, float]:
    """Return what stands beside a count; beside an epoch's, names need not be known."""
    values = measurements(text, stepped=True) if epoch or may_measure(text.lower()) else {}
    return values or (anything(text) if epoch else {})


def _within_first(text: str) -> re.Match[str] | None:
    lower = text.lower()
    if "train" in lower or (text.isascii() and not ("val" in lower or "test" in lower or "dev" in lower)):
        return None
    first = _FIRST_VALUE.split(text, maxsplit=1)[0]
    return _PART_WORD.search(first) if len(first) <= _FIRST else None


def judged(text: str, values: Mapping[str, float]) -> Mapping[str, float]:
    """Return `values` under names that say so if the line is of an evaluation."""
    text = text.lstrip(" |")
    found = _EVALUATION.match(text) or _within_first(text)
    if found is None:
        return values
    word = _WORDS.get(found["word"].lower()) or series_name(found["word"])
    if word == "eval":  # "Eval 1 | valid loss 0.3 | ppl 1.3": one name says what the others do not
        word = next(filter(None, map(evaluation_of, values)), word)
    named = {name: _of(word, name) for name in values}
    if len(set(named.values())) < len(named):
        return values  # "Val Loss: 0.5, Loss: 0.4"
    return {named[name]: value for name, value in values.items()}


def _of(word: str, name: str) -> str:
    told = name.startswith("train") or is_of_evaluation(name) or word in name.split("_")
    told = told and not (name.startswith("eval_") and word != "eval")  # "Validation: evaluation score 0.7"
    return name if told else f"{word}_{name}"

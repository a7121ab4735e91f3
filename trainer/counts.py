"""Where a line says that the run stands: counts of epochs and steps in the spellings that people have for them.

Pure: one line at a time; what belongs together over lines is put together in `trainer.place`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

INTEGER = r"\d(?:\.\d{1,20}[eE]\+\d\d|[\d,]{0,20})"  # of bounded length: a line may be made to keep us busy
THOUSANDS = r"\d{1,6}(?:\.\d{1,3})?[kK](?!\w)"  # "12k", "1.2K"
_EPOCH_WORDS = r"epochs?|ep\.?"
_STEP_WORDS = (
    r"global[_ -]?(?:steps?|iter(?:ation)?s?)|t_env|env[_ ]steps?|num[_ ]frames|sentence number|i(?=\s*=\s*\d+\s*/)"
    r"|num[_ ]timesteps(?!\s*=)|(?<=^Eval )num_timesteps|total[_ ](?:num|env)_?steps|total[_ ]t|t(?=\s*=\s*\d+\s*/)"
    r"|(?:time)?steps?|iter(?:ation)?s?|itr?s?|updates?|up\.|n(?:um_)?updates"
    r"|(?:mini-?)?batch(?:es)?|kimg|train(?=\s\d+\s?/\s?\d)|n_?episodes?|progress(?=\W{0,3}\d+\s*/)|episodes?|instance|rounds?|gen(?:eration)?s?|tick|tree"
)
# What follows a count makes it none: a fraction, a time, a date, a share, a unit.
_ENDS = r"(?!\w|[.,]\d|\s?%|[:\-]\d|\s(?:samples|images|examples|tokens)\b)"
_NAMED = re.compile(  # how those words begin comes first: that alone halves what a line costs
    rf"(?=[begikmnprstu])(?<![\w.?&/%])(?:(?P<epoch>{_EPOCH_WORDS}|(?<=\[)e(?=:))|(?P<step>{_STEP_WORDS}))"
    rf"(?:[-_](?=\d)|(?:[\s_-]+(?:no|nr|num|number|id|idx|index|i)\b\.?)?\s*[:=#]?\s*[\[(]?\s*)(?P<n>{THOUSANDS}|{INTEGER})"
    rf"(?:(?:\s*/\s*|\s+of\s+|\s+out of\s+)(?P<total>{THOUSANDS}|{INTEGER}))?{_ENDS}",
    re.IGNORECASE,
)
# "200/ 2983 batches", and espnet's "3epoch".
_COUNTED_THINGS = re.compile(
    rf"(?<![\w.:/])(?P<n>{INTEGER})\s*(?:/|of)\s*(?P<total>{INTEGER})\s+(?:batch(?:es)?|steps?|iter(?:ation)?s?|updates?)\b",
    re.IGNORECASE,
)
# "train 3 updates (96 samples)", "After 100 steps"
_DONE = re.compile(
    r"\W*(?:train(?:ed)?|after|finished|completed)\s+(?P<n>\d+)\s+(?:\([^()]{1,60}\)\s)?"
    r"(?:updates|iterations|iters|steps|batches|frames)\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?<![\w.])(?P<n>\d+)epoch\b")
# What stands behind an epoch without a name counts within it: "Epoch 2 [50/7330]", "epoch 001:    100 / 1000".
_BEHIND = re.compile(
    rf"[\])\s:|,>-]*(?:(?P<word>[A-Za-z]{{1,12}})\s?:?\s*)?[\[(]?\s*(?P<n>{INTEGER})\s*/\s*(?P<total>{INTEGER})(?![\d/.])(?:\s*\(\s*\d+\s*%\s*\))?",
    re.IGNORECASE,
)
# What may stand between an epoch and that.
_MAY_COUNT = re.compile(
    r"(?:mini)?batch(?:es)?|steps?|iter[a-z]*|it|samples?|train(?:ing)?|progress|dl|data|items?|images?|seqs?",
    re.IGNORECASE,
)
_BRACKETED = re.compile(rf"[\[(]\s*(?P<n>{INTEGER})\s*/\s*(?P<total>{INTEGER})\s*(?:\(\s*[\d.]+\s*%\s*\))?\s*[\])]")
# How many there are, or how many make a round, is no place.
_SETTINGS = ("total", "max", "num", "number of", "warmup", "warm-up", "per", "every")
_PLURAL_SETTINGS = ("train", "training", "val", "eval", "test", "save", "saving", "logging", "accumulation")
_OF_SAMPLES = re.compile(r"\b(?:samples|images|examples|tokens)\b[\s:=]*$", re.IGNORECASE)  # "Seen samples: [96/2400]"
_OF_EPOCH = re.compile(r"\s+(?:of|in)\s+(?:the )?", re.IGNORECASE)
_OF_CALL = re.compile(r"\w\((?P<before>\w+=[^()]*,\s*)?$")  # "PSO(epoch=25, pop_size=20)"
_NEXT_ARGUMENT = re.compile(r"(?:,|(?<=,))\s*\w+=")
_OF_ANSWERS = re.compile(
    r"(?:acc(?:uracy)?|correct)\W*(?:\d[\d.]*\s?%?)?\W*$", re.IGNORECASE
)  # "Acc: 45.456% (22728/50000)"
_ABSOLUTE = (
    "global",
    "t_env",
    "env",
    "num frames",
    "num_frames",
    "up.",
    "nupdates",
    "kimg",
    "num_updates",
    "num timesteps",
    "num_timesteps",
    "total",
)


class Counts(NamedTuple):
    """What a line counts, and the line without it."""

    episodes: bool = False  # one of the counts is of episodes
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    total: int | None = None
    within: bool = False  # the step is of this epoch alone
    rest: str = ""


@lru_cache(maxsize=4)  # several readers ask about one line
def counts(text: str) -> Counts | None:
    """Return what `text` counts, or None; the first count of each kind holds, one over the whole run before others."""
    epoch, step, others = _named(text)
    named = step is not None
    if epoch is None and "epoch" in text:
        epoch = _ORDINAL.search(text)
    if step is None and ("/" in text or " of " in text):
        step = (epoch and _behind(text, epoch)) or _COUNTED_THINGS.search(text)
        step = step or (epoch and _bracketed(text, epoch))
    step = step or (_DONE.match(text) if epoch is None else None)
    if epoch is None and step is None:
        return None
    n, total = _whole(step)
    of_epoch, epochs = _whole(epoch)
    within = step is not None and _is_within(text, epoch, step, named=named)
    if n is not None and total is not None and n > total:  # it goes on, and the total is an epoch's
        within, total = False, None
    return Counts(
        epoch=of_epoch,
        epochs=epochs,
        step=n,
        total=total,
        within=within,
        episodes=any((one["step"] or "").lower().startswith("episode") for one in others),
        rest=_without(text, *{one.span(): one for one in (epoch, step, *others) if one}.values()),
    )


def _named(text: str) -> tuple[re.Match[str] | None, re.Match[str] | None, Sequence[re.Match[str]]]:
    """Return the epoch and the step that words name, and all such counts."""
    epoch = step = thousands = None
    others: list[re.Match[str]] = []
    for found in _NAMED.finditer(text):
        if _is_setting(text, found):
            continue
        others.append(found)
        if found["n"][-1] in "kK":
            thousands = found
        elif found["epoch"]:
            epoch = epoch or found
        elif step is None or (_is_absolute(found) and not _is_absolute(step)) or _is_finer(found, step, text):
            step = found
    if epoch is None and step is None and thousands is not None:  # beside a finer count they only say the same
        step = thousands if thousands["step"] else None
    return epoch, step, others


def _is_within(text: str, epoch: re.Match[str] | None, step: re.Match[str], *, named: bool) -> bool:
    """Return whether a step is of an epoch alone: it starts anew, unless it comes first or says that it does not."""
    if epoch is None:
        return named and _is_of_batches(step)
    if _is_absolute(step):
        return False
    first = step.start() < epoch.start()
    return not first or bool(_OF_EPOCH.fullmatch(text, step.end(), epoch.start())) or _is_of_batches(step)


def trailing(text: str) -> Counts | None:
    """Return a count in brackets that has no name, as in "loss: 0.51 [ 6464/60000]"."""
    found = _BRACKETED.search(text)
    if found is None or _OF_ANSWERS.search(text[: found.start()]):
        return None
    n, total = _whole(found)
    if n is None or total is None or n > total:
        return None
    return Counts(step=n, total=total, within=True, rest=_without(text, found))


def _whole(found: re.Match[str] | None) -> tuple[int | None, int | None]:
    if found is None:
        return None, None
    total = found.groupdict().get("total")
    return _integer(found["n"]), _integer(total) if total else None


def _integer(text: str) -> int:
    if text[-1] in "kK":
        return round(1_000 * float(text[:-1]))
    return int(float(text)) if "." in text else int(text.replace(",", ""))  # "step: 1.00e+01"


def _is_setting(text: str, found: re.Match[str]) -> bool:
    before = text[max(0, found.start() - 14) : found.start()].rstrip(" _-").lower()
    word = (found["epoch"] or found["step"]).lower()
    call = _OF_CALL.search(text[: found.start()]) if "=" in found.group() else None
    if call and (call["before"] or _NEXT_ARGUMENT.match(text, found.end())):
        return True
    return before.endswith(_SETTINGS) or (
        word.endswith("s") and word[:3] != "num" and not found["total"] and before.endswith(_PLURAL_SETTINGS)
    )


def _is_absolute(found: re.Match[str]) -> bool:
    return (found.groupdict().get("step") or "").lower().startswith(_ABSOLUTE)


def _is_of_batches(found: re.Match[str]) -> bool:
    return "batch" in (found.groupdict().get("step") or "").lower()


def _is_finer(found: re.Match[str], other: re.Match[str], text: str) -> bool:
    """Return whether a count of an agent's steps stands beside one of episodes: "Episode: 25  Timestep: 2000"."""
    episodes = (other.groupdict().get("step") or "").lower().startswith("episode")
    return (
        episodes and found["step"].lower() == "timestep" and "episode" not in text[other.end() : found.start()].lower()
    )


def _behind(text: str, epoch: re.Match[str]) -> re.Match[str] | None:
    if epoch.re is _ORDINAL:
        return None
    found = _BEHIND.match(text, epoch.end())
    if found and found["word"] and not _MAY_COUNT.fullmatch(found["word"]):
        return None
    return found


def _bracketed(text: str, epoch: re.Match[str]) -> re.Match[str] | None:
    found = _BRACKETED.search(text, epoch.end())
    if found is None or _OF_SAMPLES.search(text, epoch.end(), found.start()):
        return None
    return None if _OF_ANSWERS.search(text[epoch.end() : found.start()]) else found


def _without(text: str, *found: re.Match[str] | None) -> str:
    """Return `text` with what was found as a rule between what stands around it."""
    for one in sorted((one for one in found if one), key=lambda one: -one.start()):
        text = f"{text[: one.start()]} | {text[one.end() :]}"
    return text

"""Progress bars, as tqdm and others draw them: what one of them says, by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from trainer.formats import Reading, integer
from trainer.names import may_measure, of_part
from trainer.numbers import measurements

_BAR = re.compile(
    r"^(?P<name>.*?):?\s*\d+%\|[^|]*\|\s*(?P<n>\d+)/(?P<total>\d+)\s*"
    r"\[(?P<spent>[\d:]+)<(?P<eta>\d{1,9}(?::\d{1,9}){0,4}|\?)(?:,\s*(?P<rate>\d+(?:\.\d+)?|\?)\s*(?P<unit>[A-Za-z]+/s|s/[A-Za-z]+)(?![\w/]))?"
    r"(?:,\s*[\d.?]+\s*[A-Za-z]*/?$)?"  # a bar that is as wide as the terminal is cut within its pace
    r"(?P<post>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)(?:\]|$)"
)
# pytorch-ignite's: the count before the bar, the values behind it.
_BAR_BEFORE = re.compile(
    r"^(?P<name>.*?):?\s*\[(?P<n>\d+)/(?P<total>\d+)\]\s+\d+%\|[^\x00-\x7f ]*\s*(?P<post>[^\[|]*)"
    r"\[(?P<spent>[\d:]+)<(?P<eta>\d{1,9}(?::\d{1,9}){0,4}|\?)(?P<rate>)(?P<unit>)\]"
)
# tqdm's where nobody told it how many there are, with what it counts: "12it [00:01, 9.10it/s, loss=0.5]", and
# Lightning's: "Epoch 0: |          | 12/? [00:01<00:00, 9.10it/s, loss=0.5]".
_BAR_OPEN = re.compile(
    r"(?P<n>\d(?<![\w.]\d)\d*)(?:[a-z]{1,12}|(?P<endless>/\?)) \[[\d:]+(?:<[\d:?]{1,20})?,\s*(?:[\d.]+|\?)\s*"
    r"(?P<unit>[A-Za-z]+/s|s/[A-Za-z]+)(?![\w/])(?P<post>[^\]]*)(?:\]|$)"
)
# Those of rich, as Lightning draws them, of progressbar2 and of alive-progress.
_BAR_OTHERS = (
    re.compile(r"(?<![━╸╺╴─])[━╸╺╴─]{4,}\s+(?:\d+%\s+)?(?P<n>\d+)/(?P<total>\d+)(?P<post>.*)$"),
    re.compile(r"\d+% \((?P<n>\d+) of (?P<total>\d+)\) \|[^|]*\|(?P<post>.*)$"),
    re.compile(r"\|[▁-▏ ]+\|\s*[▁-▏]*\s*(?P<n>\d+)/(?P<total>\d+) \[\d+%\](?P<post>.*)$"),
    # fastprogress' behind its percent; what it shows of the loss has no name.
    re.compile(r"\|[█-]+\| \d+\.\d\d% \[(?P<n>\d+)/(?P<total>\d+) [\d:]+<[\d:?]+(?P<post>[^\]]*)\]$"),
    re.compile(r"^\s*\[=*>\.*\](?P<post>.*?)\s(?P<n>\d+)/(?P<total>\d+)\s*$"),  # the count is drawn over it
)
_ALONE = re.compile(r" (?P<value>\d+\.\d+)$")
# What a bar tells in its name: "loss: 0.45", "Gen. (+00.61)".
_DESCRIBED = re.compile(r"[^\w()]*[A-Za-z][\w./@-]*\s*(?:[:=]\s*|\(\s*)[-+]?\d*\.\d.*$")
_OTHER_UNITS = re.compile(r"^(?:[kKMGT]?i?B|examples?|files?|rows?)/s$|^s/(?:file|example)s?$")  # of what is loaded
_BAR_EPOCH = re.compile(r"\bepoch:?\s*\[?(\d+)(?:\s*/\s*(\d+))?\]?(?=$|[\s:,|])", re.IGNORECASE)
_EVALUATION_BAR = re.compile(
    r"(?:^|\s|\(|_)(?P<part>val|valid|test|eval)(?:idation|ating|ing|uation)?\b|\(v\)$", re.IGNORECASE
)
_BAR_WHOLE = re.compile(
    r"(?:train\w* )?epoch:?\s*(?P<epoch>\d+)/\s*(?P<epochs>\d+)[^\d]{1,8}"
    r"(?:iter|step|batch)\w*:?\s*(?P<n>\d+)/\s*(?P<total>\d+)\b",
    re.IGNORECASE,
)
_BAR_OF_RUN = re.compile(
    r"^(?:train\w*)?\s*\(?(?P<n>\d+)\s?/\s?(?P<total>\d+) (?:global )?(?:steps|iterations|iters|updates)\b",
    re.IGNORECASE,
)
_OWN_STEP = re.compile(r"(?:iter(?:ation)?|step)s?[\s:=#]*(?P<step>\d+)(?=[\s:,|])", re.IGNORECASE)
_BAR_COUNTS = re.compile(r"^(\d+)\|(\d+)?\|")  # torchtune's "1|20|Loss: 2.3": epoch, step, loss


_ENDS = r"(?:%\|[^|]*\||^\d+[a-z]{1,12} \[)[^\]]*[a-z]\]"
_ENDED = re.compile(_ENDS)
_GLUED = re.compile(  # a bar that a line was printed behind
    rf"{_ENDS}(?=(?i:INFO|DEBUG|WARNING|ERROR|iteration|iter|step|epoch|train(?:ing)?|val|valid|test)\b"
    r"|\[?\d{4}-\d\d-\d\d[ T]|\[\d\d:\d\d:\d\d)"
)


def bar_line(text: str) -> Reading | None:
    found = _BAR.match(text) or _BAR_BEFORE.match(text)
    if found is None or (found["unit"] and _OTHER_UNITS.match(found["unit"])):
        return None
    told = found["name"].strip()
    rate, eta = _pace(found)
    if counted := _counted_in_name(told, int(found["total"])):
        return counted._replace(rate=rate)
    epoch = _BAR_EPOCH.search(told) or _BAR_COUNTS.match(told)
    epochs = int(epoch[2]) if epoch and epoch[2] and epoch.re is _BAR_EPOCH else None
    name = _DESCRIBED.sub("", told) if "." in told else told
    behind = f"{found['post']} {text[found.end() :]}"
    values = {**(measurements(told, stepped=False) if told and may_measure(told.lower()) else {}), **_behind(behind)}
    if part := _EVALUATION_BAR.search(name) or (None if name else _EVALUATION_BAR.match(told)):
        values = {of_part(part["part"] or "val", series): value for series, value in values.items()}
        name = name or part["part"]
    # Lightning counts epochs from 0 and does not say how many; who says "3/10" counts from 1.
    one_based = epochs is not None or (epoch is not None and epoch.re is _BAR_COUNTS)
    step, total = int(found["n"]), int(found["total"])
    if epoch is None and "." in told and (own := _OWN_STEP.match(told)):
        # "Iteration 00010: mse = 0.01:   0%|": what it tells is of that step, and the bar is drawn now and then.
        named = integer(own["step"]) or 0
        step = named if step - max(10, total // 20) <= named <= total else step
    return Reading(
        step=step,
        total=total,
        epoch=None if epoch is None else int(epoch[1]) - one_based,
        epochs=epochs,
        values=values,
        rate=rate,
        eta=None if epoch else eta,
        bar=name,
        within_epoch=epoch is not None,
        from_either=epoch is not None and epochs is None and not one_based and "v_num=" not in text,
    )


def _pace(found: re.Match[str]) -> tuple[float | None, float | None]:
    """Return a bar's steps a second and the seconds that are left, None where it says neither."""
    rate = eta = None
    if found["rate"] and found["rate"] != "?" and float(found["rate"]) > 0:
        rate = float(found["rate"]) if found["unit"].endswith("/s") else 1 / float(found["rate"])
    if "?" not in found["eta"]:
        eta = float(sum(60**power * int(part) for power, part in enumerate(reversed(found["eta"].split(":")))))
    return rate, eta


def _counted_in_name(told: str, drawn: int) -> Reading | None:
    """Return what a bar counts in its name, where it is of the run or of an epoch; `drawn`: how far the bar goes."""
    if of_run := _BAR_OF_RUN.search(told):
        values = measurements(told[of_run.end() :], stepped=True)
        return Reading(step=int(of_run["n"]), total=int(of_run["total"]), values=values)
    whole = _BAR_WHOLE.match(told) if "." in told else None  # "Train Epoch: 1/ 4. Iter: 2/ 20. Loss: 2.3: 5%|"
    if whole is None or int(whole["total"]) != drawn:
        return None
    return Reading(
        step=int(whole["n"]),
        total=drawn,
        epoch=int(whole["epoch"]) - 1,
        epochs=int(whole["epochs"]),
        values=measurements(told, stepped=True),
        bar="train",
        within_epoch=True,
    )


def part_of_bar(name: str) -> str:
    """Return the part of the data that a bar's name says it is of, "" for the training's."""
    found = _EVALUATION_BAR.search(name)
    return found["part"] or "val" if found else ""


_DRAWN = re.compile(
    r"(?:\d(?<!\d\d)\d*%\|[^|]*\|\s*\d+/\d+|\|\s*\|\s*\d+/\?)\s*\[[^,\]]*(?:,\s*[\d.?]+\s*[A-Za-z]*/?[A-Za-z]*)?"
)


def without_bar(text: str) -> str:
    """Return a bar's line without what is drawn: what it says before and behind."""
    return _DRAWN.sub("|", text) if "%|" in text or "/? [" in text else text


_FILLED = re.compile(r"(?<=%\|)[█-▏#\d ]+(?=\|)")


def emptied(text: str) -> str:
    """Return a line with its bar as wide as it is, and nothing drawn in it."""
    return _FILLED.sub(lambda found: " " * len(found.group()), text) if "%|" in text else text


_BEGINS = re.compile(r":?\s*(?:\d+%\||(?<![\w.])\d+[a-z]{1,12} \[)")


def description(text: str) -> str:
    """Return what stands before a bar."""
    found = _BEGINS.search(text)
    return text[: found.start()] if found else text


def parted(line: str, is_printed: Callable[[str], bool]) -> tuple[str, str] | None:
    """Return a bar and the line that was printed behind it, None where `line` is no such thing.

    `is_printed`: whether the code at hand prints a line.
    """
    begins = line.find("%|")
    ends = line.find("]", max(begins, 0)) if begins >= 0 or line[:1].isdigit() else -1
    if not 0 <= ends < len(line) - 1:
        return None
    ended = _GLUED.search(line) or _ENDED.search(line)
    if ended is None or not (ended.re is _GLUED or is_printed(line[ended.end() :])):
        return None
    return line[: ended.end()], line[ended.end() :]


def open_bar_line(text: str) -> Reading | None:
    """Read a bar that does not know its end."""
    found = _BAR_OPEN.search(text)
    if found is None or _OTHER_UNITS.match(found["unit"]):
        return None
    values = _behind(f"{found['post']} {text[found.end() :]}")
    name = text[: found.start()].strip()
    epoch = _BAR_EPOCH.search(name)
    if part := _EVALUATION_BAR.search(name):
        values = {of_part(part["part"] or "val", series): value for series, value in values.items()}
        return Reading(values=values) if values else None
    if found["endless"] and not int(found["n"]):
        return Reading(values=values)  # an epoch's bar before its first batch: what it shows is of the one before
    if not values and not (found["endless"] and epoch):
        return None
    return Reading(
        step=int(found["n"]),
        epoch=int(epoch[1]) - bool(epoch[2]) if epoch else None,
        epochs=int(epoch[2]) if epoch and epoch[2] else None,
        values=values,
        within_epoch=epoch is not None,
    )


def drawn_bar_line(text: str) -> Reading | None:
    """Read the bars of others than tqdm."""
    found = next((found for form in _BAR_OTHERS if (found := form.search(text))), None)
    if found is None or re.search(r"\d\s*(?:[kKMGT]i?B|bytes)\b", found["post"]):
        return None
    name = text[: found.start()].strip().rstrip(":")
    epoch = _BAR_EPOCH.search(name)
    values = {**(measurements(name, stepped=False) if may_measure(name.lower()) else {}), **_behind(found["post"])}
    if alone := epoch and _ALONE.match(found["post"]):
        values = {"loss": float(alone["value"])}
    if part := _EVALUATION_BAR.search(name):
        values = {of_part(part["part"] or "val", series): value for series, value in values.items()}
    if not values and epoch is None:
        return None  # of whatever is drawn in a terminal
    epochs = int(epoch[2]) if epoch and epoch[2] else None
    return Reading(
        step=int(found["n"]),
        total=int(found["total"]),
        epoch=int(epoch[1]) if epoch else None,
        epochs=epochs,
        values=values,
        bar=name,
        within_epoch=epoch is not None,
        from_either=epoch is not None,
        unnamed=alone is not None,
    )


def _behind(post: str) -> Mapping[str, float]:
    """Return what stands in a bar's brackets behind its pace, or behind the bar."""
    told = not post.isspace() and ("=" in post or may_measure(post.lower()))
    return measurements(post, stepped=True) if told else {}

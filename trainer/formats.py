"""How trainers print their progress: one reader for each family of lines.

A reader takes one line and knows nothing of the lines before it; what belongs together is put together in
`trainer.detect`, where the table of formats is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from trainer.names import is_companion, is_outcome, is_series, is_worth_naming, of_part, series_name
from trainer.numbers import NUMBER, measurements, number

_INTEGER = r"\d[\d,]*"
_STEP = re.compile(
    r"(?<![\w.?&])(?<!train )(?<!val )(?<!total )(?<!max )(?<!num )(?<!warmup )"  # of which a line tells how many
    r"(?:global[_ ]?steps?|(?:time)?steps?|iter(?:ation)?s?|it|updates?|num_updates|(?:mini-?)?batch|episodes?|rounds?)"
    r"(?:[-_]|\s*[:=#]?\s*\[?\s*)"
    rf"(?P<step>{_INTEGER})(?:\s*(?:/|of)\s*(?P<total>{_INTEGER}))?",
    re.IGNORECASE,
)
# "train stats after 32 examples: {...}", which says no total.
_AFTER = re.compile(
    r"\bafter (?P<step>\d+)(?P<total>)(?= (?:examples|samples|steps|updates|iterations|batches)\b|: *$)", re.IGNORECASE
)
_EPOCH = re.compile(r"(?<![\w.])epoch\s*[:=#]?\s*\[?\s*(?P<epoch>\d+)(?:\s*(?:/|of)\s*(?P<epochs>\d+))?", re.IGNORECASE)
# What a program puts before a record that it logs, "… | INFO | train_inner | {", and not before its settings.
_OF_LOGGER = re.compile(
    r"(?!.*(?:%\||best|config|arg|param|setting|resum|load|summary))[\w\s.,:|\[\]()/-]{0,80}[:|]\s*", re.IGNORECASE
)
_SWIFT = re.compile(r"'global_step/max_steps': '(?P<step>\d{1,15})/(?P<total>\d{1,15})'")
_PART = r"(?P<part>val|valid|test|eval)(?:idation|uation)?"
_BEFORE_RECORD = re.compile(
    rf"\b{_PART}(?:_(?:metrics|results))?\W*$|^\W*{_PART.replace('part', 'first')}\b", re.IGNORECASE
)
_TRIAL = re.compile(rf"\bTrial (?P<n>\d+) finished with value: (?P<value>{NUMBER}) and parameters: ")
_STEP_KEYS = ("step", "global_step", "trainer_global_step", "_step", "num_updates", "iter", "iteration", "update")
_TOTAL_KEYS = ("total_steps", "max_steps", "num_steps", "total_iters", "max_iters")
_N_OF = re.compile(r"(\d{1,15})/(\d{1,15})")
_OF_TYPE = re.compile(r"((?:val|valid|test|eval)(?:_ema)?)_(?:iter|epoch)")
_ITEMS = re.compile(rf"'([\w./@ -]+)': (?:[\w.]+\()?\[?'?({NUMBER})'?(?=[,}})\]])")


class Reading(NamedTuple):
    """What one line says. Steps count from the start of the run unless `within_epoch` is set."""

    step: int | None = None
    total: int | None = None
    epoch: float | None = None
    epochs: int | None = None
    values: Mapping[str, float] = MappingProxyType({})
    rate: float | None = None  # steps a second
    eta: float | None = None  # seconds
    bar: str | None = None  # what a progress bar is called; None where the line is no bar
    epoch_counts: bool = False  # with no step to be had, the epoch is one
    within_epoch: bool = False  # `step` and `total` are of this epoch alone
    from_either: bool = False  # whether epochs are counted from 0 or 1 shows in the first of them
    from_zero: bool = False  # they are counted from 0, unless the first of them is 1
    based: bool = False  # the format says what they are counted from, and `epoch` is from 0
    mean: bool = False  # over what came before it: of an epoch, where a finer count tells the same series
    unnamed: bool = False  # what a bar shows has no name: a bar of an evaluation may still show the training's


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one row of a file that a trainer wrote says."""

    step: int
    total: int | None
    values: Mapping[str, float]
    epoch: float | None = None  # where the file tells it beside the step


def integer(text: str | None) -> int | None:
    return int(text.replace(",", "")) if text else None


def json_line(text: str) -> Reading | None:
    begins = text.find('{"')
    if begins < 0 or text[-1] != "}" or (begins > 0 and not _OF_LOGGER.fullmatch(text, 0, begins)):
        return None
    try:
        raw = json.loads(text[begins:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict):
        return None
    part = _BEFORE_RECORD.search(text, 0, begins)
    flat: dict[str, float] = {}
    for key, value in raw.items():
        inner = value if isinstance(value, dict) else None
        for name, one in ((f"{key}_{k}", v) for k, v in inner.items()) if inner else ((str(key), value),):
            try:
                if not isinstance(one, bool) and isinstance(one, int | float | str):
                    flat[series_name(name)] = float(one)
            except (ValueError, OverflowError):
                continue
    reading = _of_many(_keyed(flat, epoch_counts=True), raw)
    judges = _OF_TYPE.match(str(raw.get("_type")))  # pycls', which SlowFast has, too
    mode = part["part"] or part["first"] if part else judges[1] if judges else str(raw.get("mode"))  # mmcv's
    if reading is None or mode.removesuffix("_ema") not in ("val", "valid", "test", "eval"):
        return reading
    values = {of_part(mode, name): value for name, value in reading.values.items()}
    if part:
        return reading._replace(values=values)
    return reading._replace(step=None, total=None, within_epoch=False, epoch_counts=False, values=values)


def _of_many(reading: Reading | None, raw: Mapping[str, Any]) -> Reading | None:
    """Return a record with counts that are written as "5/20"."""
    found = {series_name(str(key)): _N_OF.fullmatch(value) for key, value in raw.items() if isinstance(value, str)}
    of = {name: (int(one[1]), int(one[2])) for name, one in found.items() if one}
    step, epoch = next((of[key] for key in _STEP_KEYS if key in of), None), of.get("epoch")
    if reading is None or (step is None and epoch is None):
        return reading
    if epoch is not None:
        reading = reading._replace(epoch=float(epoch[0]), epochs=epoch[1], epoch_counts=step is None)
    if step is not None:
        reading = reading._replace(step=step[0], total=step[1], within_epoch=epoch is not None)
    return reading._replace(from_either=reading.within_epoch)


def python_dict_line(text: str) -> Reading | None:
    before, _, record = text.partition("{")
    if "%|" in before:
        return None  # a bar with a record behind it
    # Without words before it: HF's, whose epochs are fractions of the run's steps, which the bar beside it counts.
    part = _BEFORE_RECORD.search(before) if before else None
    items = {series_name(k): number(v) for k, v in _ITEMS.findall(record)}
    reading = _keyed(items, epoch_counts=False, judged=part is not None)
    if reading is not None and (swift := _SWIFT.search(record)):
        return reading._replace(step=int(swift["step"]), total=int(swift["total"]))
    if reading is None or not before:
        return reading
    beside = measurements(before, stepped=False) if "." in before else {}  # "Loss: 1.45, Metrics: {'Accuracy': 0.5}"
    if part:
        of = part["part"] or part["first"]
        told = {name if of.lower() in name.split("_") else of_part(of, name): v for name, v in reading.values.items()}
        reading = reading._replace(values=told)
        beside = {of_part(part["first"], name): value for name, value in beside.items()} if part["first"] else beside
    reading = reading._replace(values={**beside, **reading.values})
    step, epoch = _STEP.search(before) or _AFTER.search(before), _EPOCH.search(before)
    if step:
        return reading._replace(step=integer(step["step"]), total=integer(step["total"]))
    return reading._replace(epoch=float(epoch["epoch"]), epoch_counts=True) if epoch else reading


def _keyed(flat: Mapping[str, float], *, epoch_counts: bool, judged: bool = False) -> Reading | None:
    """Return the reading of a record whose keys say what is what; `judged`: it is of an evaluation by what heads it."""
    step = next((flat[key] for key in _STEP_KEYS if math.isfinite(flat.get(key, math.nan))), None)
    total = next((flat[key] for key in _TOTAL_KEYS if math.isfinite(flat.get(key, math.nan))), None)
    known = {*_STEP_KEYS, *_TOTAL_KEYS}
    mean_rank = {"rank"} if flat.get("rank", 0) % 1 else set()  # and no process
    told = {k: v for k, v in flat.items() if is_series(k) or k in mean_rank}
    values = {k: v for k, v in told.items() if k not in known and not k.startswith("best_")}
    if not any(is_outcome(name) or (judged and is_companion(name)) for name in values):
        return None
    epoch = flat.get("epoch")
    return Reading(
        step=None if step is None else int(step),
        total=None if total is None else int(total),
        epoch=epoch,
        values=values,
        epoch_counts=epoch_counts,
        # mmcv's {"epoch": 2, "iter": 50}: the one counts within the other.
        within_epoch=step == flat.get("iter") is not None and epoch is not None and epoch % 1 == 0,
    )


_BATCHED = re.compile(
    r"(?:^|\s)(?:Train:\s*(?P<timm>\d+)\s*|Train:\s*\[(?P<train>\d+)\]\s*"
    r"|(?:Train )?Epoch:\s*\[?(?P<epoch>\d+)(?:\.\d\d)?\]?\s*"
    r"|Epoch\(train\)\s*\[(?P<mm>\d+)\]|(?P<whole>Iter\(train\))\s*)"
    r"\[\s*(?P<n>\d+)\s*/\s*(?P<total>\d+)[^\]]*\]"
)


_JUDGED_BY = re.compile(r"\b(?P<part>val|valid|test|eval)(?:idation|ating|ing|uation)?$", re.IGNORECASE)
_EVALUATED = re.compile(r"\b(?:Epoch|Iter)\((?P<part>val|test)\)\s*(?:\[\s*\d+\s*\])?\[\s*(?P<n>\d+)\s*/\s*(?P=n)\s*\]")
_EVALUATION = re.compile(
    rf"(?<!\S)(?P<name>[A-Za-z][\w./@-]*): (?P<value>{NUMBER})(?=\s|$)"
)  # mmengine's, whatever it is


def batched_line(text: str) -> Reading | None:
    if "Epoch" not in text and "Train:" not in text and "Iter(" not in text:
        return None
    found = _BATCHED.search(text)
    if found is None:
        part = _EVALUATED.search(text)
        judged = _EVALUATION.finditer(text, part.end()) if part else ()
        named = {series_name(one["name"]): number(one["value"]) for one in judged}
        of = f"{part['part']}_" if part else ""
        told = {f"{of}{name}": value for name, value in named.items() if is_worth_naming(name)}
        return Reading(values=told) if told else None
    values = measurements(text[found.end() :], stepped=True)
    if judged_by := _JUDGED_BY.search(text[: found.start()]):
        values = {of_part(judged_by["part"], name): value for name, value in values.items()}
        return Reading(values=values) if values else None
    if found["whole"]:
        return Reading(step=int(found["n"]), total=int(found["total"]), values=values)
    epoch = int(found["timm"] or found["train"] or found["epoch"] or found["mm"])
    one_based = found["mm"] is not None
    return Reading(
        step=int(found["n"]),
        total=int(found["total"]),
        epoch=epoch - 1 if one_based else epoch,
        values=values,
        within_epoch=True,
        from_either=bool(found["epoch"]) and "Epoch: [" not in text,
        from_zero=bool(found["train"]),
        based=one_based,
    )


_SHOWN = re.compile(rf"(?<=- )([A-Za-z][\w/.@-]*): ({NUMBER})(?=\s|$)")
_KERAS = re.compile(r"^\s*(?P<n>\d+)/(?P<total>\d+)\s.*?(?=-\s\S+:\s)")


def keras_line(text: str) -> Reading | None:
    """Read what Keras shows of a batch or an epoch: all of it measures, whatever it is called."""
    found = _KERAS.match(text)
    shown = _SHOWN.findall(text, found.end()) if found else []
    values = {name: number(value) for raw, value in shown if is_worth_naming(name := series_name(raw))}
    if found is None or not values:
        return None
    return Reading(step=int(found["n"]), total=int(found["total"]), values=values, within_epoch=True)


_CORNER = re.compile(r"^\[(?P<epoch>\d+),\s+(?P<n>\d+)\]\s")


def corner_line(text: str) -> Reading | None:
    found = _CORNER.match(text)
    values = measurements(text[found.end() :], stepped=False) if found else {}
    if found is None or not values:
        return None
    return Reading(step=int(found["n"]), epoch=int(found["epoch"]) - 1, values=values, within_epoch=True)


_ROUND = re.compile(r"^\[(?P<n>\d[\d,]*)\]\s")
# XGBoost's "test-auc:0.71+0.02", LightGBM's "val's auc: 0.7" and "cv_agg's val auc: 0.71 + 0.02": with its spread.
_MEASURED = re.compile(rf"(?P<name>[A-Za-z][\w@.\- ]*?(?:'s [\w@.\- ]+)?):\s?(?P<value>{NUMBER})(?:\s?\+\s?{NUMBER})?$")

_OF_DATA = re.compile(r"(?:d?train|eval|val|valid|validation|d?test|dev|holdout)\w*-\S+:\S")


def round_line(text: str) -> Reading | None:
    """Read a round of boosting: behind its number a cell for each measurement, whatever it is called."""
    found = _ROUND.match(text)
    cells = text[found.end() :].split("\t") if found else ()
    measured = [_MEASURED.match(cell.strip()) for cell in cells]
    values: Mapping[str, float] = {
        series_name(one["name"].removeprefix("cv_agg's ").replace("'s ", "_")): number(one["value"])
        for one in measured
        if one
    }
    ours = "'s " in text or all(one and _OF_DATA.match(one.group()) for one in measured)  # as both of them print
    if found is None or not (ours or any(map(is_outcome, values))) or not all(measured):
        values = measurements(text[found.end() :], stepped=False) if found else {}
    return Reading(step=integer(found["n"]), values=values) if found and values else None


_LEARNT = re.compile(
    rf"^(?P<n>\d+):(?:\s+learn: (?P<learn>{NUMBER}))?(?P<tests>(?:\s+test\d*: {NUMBER})*)(?=\s+(?:best|total): |$).*?"
    r"(?:remaining: (?P<left>[\dhms. u]+))?$"
)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}


def learnt_line(text: str) -> Reading | None:
    """Read a round of CatBoost's; how the loss is called, it does not say."""
    found = _LEARNT.match(text)
    if found is None:
        return None
    tests = found["tests"].replace(":", "").split()
    values = {"learn": number(found["learn"])} if found["learn"] else {}
    values.update(zip(tests[::2], map(number, tests[1::2]), strict=True))
    if not values:
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)", found["left"] or "")
    eta = sum(float(count) * _UNITS[unit] for count, unit in parts) if parts else None
    return Reading(step=int(found["n"]), values=values, eta=eta)


_LISTED = re.compile(rf"^\[(?P<n>\d+), (?P<train>{NUMBER}), (?P<val>{NUMBER}), (?:.*, )?'\d+:\d\d(?::\d\d)?'\]$")


def listed_line(text: str) -> Reading | None:
    """Read an epoch of fastai's where it draws no bar: a list that begins with epoch, train and validation loss."""
    found = _LISTED.match(text)
    if found is None:
        return None
    values = {"train_loss": number(found["train"]), "val_loss": number(found["val"])}
    return Reading(step=int(found["n"]), epoch=float(found["n"]), values=values)


def trial_line(text: str) -> Reading | None:
    """Read a trial of Optuna's."""
    found = _TRIAL.search(text)
    return Reading(step=int(found["n"]), values={"value": number(found["value"])}) if found else None

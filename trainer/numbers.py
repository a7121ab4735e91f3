"""Names and numbers in lines of text: which names are measurements, and what counts as a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[nN]a[nN]\b|[iI]nf(?:inity)?\b)"

# What a run is judged by; one of these makes a line a measurement.
_OUTCOME = re.compile(
    r"(?:^|_)(?:\w*loss\d*|loss_(?!scale|scaling|weight|decimal|fn|func|type|name|coef|ratio|curve)[a-z]\w*|nll|\w?xent|ce|bce"
    r"|cost|objective|(?:log_?)?likelihood|cross_?entropy|ppl|perplexity|acc|\w*accuracy|(?:acc|top|acc@)[15]"
    r"|rew(?:ards?)?|returns?|mse|mae|rmse|mape|r2|f1|bleu|rouge\w*|m?iou|auc|auroc|auprc|ndcg|mrr|hits?|mcc|kappa"
    r"|spearman\w*|pearson\w*|(?:val|test|eval|dev)_score|psnr|ssim|fid|wer|cer|bpb|bpc)$"
)
# What is worth a series once the line is known to be a measurement.
_COMPANION = re.compile(
    r"(?:^|_)(?:lr|learning_rate|grad_?norm|gnorm|mfu|tps|tokens_per_sec(?:ond)?|score|error|precision|recall|kl"
    r"|entropy|map|map50|dice|elbo|margin|margins)$"
)
# What may follow such a name: the part of the data it is of, and how many answers count ("recall@20").
_OF_PART = re.compile(r"(?:@\d+)?(?:_(?:train|training|val|valid|validation|test|dev|eval))?$")
# A part of each name above, to tell cheaply that a line holds none of them.
_STEMS = (
    "loss", "nll", "entropy", "ppl", "perplexity", "acc", "top1", "top5", "rew", "return", "mse", "mae", "mape", "f1",
    "bleu", "rouge", "iou", "auc", "auroc", "auprc", "psnr", "ssim", "fid", "wer", "cer", "bpb", "bpc", "lr",
    "learning", "norm", "mfu", "tps", "tokens", "score", "error", "precision", "recall", "kl", "map", "dice", "elbo",
    "margin", "xent", "ce", "cost", "objective", "likelihood", "r2", "ndcg", "mrr", "hit", "mcc", "kappa", "spearman",
    "pearson",
)  # fmt: skip
_NOT_SERIES = re.compile(
    r"(?:^|_)(?:epoch|time|timestamp|ts|runtime|elapsed|per_second|total_flos|pid|rank|seed|hp_metric)$"
)
_WORDS = (
    r"(?:(?:train|training|val|valid|validation|eval|evaluation|test|dev|avg|average|mean|running|lm|total|d|g|policy"
    r"|value|actor|critic|generator|discriminator|box|cls|kl)[ _/]+){0,2}"
)
_OTHERS = r"(?:best|min|max|final|target|previous|prev|initial)"  # a record of a measurement is none itself
_PAIR = re.compile(
    rf"(?<![\w./@?&-])(?P<other>{_OTHERS}[ _]+)?"
    rf"(?P<name>{_WORDS}(?:learning rate|grad norm|(?:negative )?log likelihood|[a-z][\w./@-]*))"
    r"(?:\s?\((?P<part>train\w*|val\w*|test|dev|eval\w*)\))?"
    r"(?P<sign>['\"]?\s*(?:[:=]|[-=]>|→)\s*|['\"],\s|['\"]?\s(?:is|reached|-)\s|\s{1,3})"
    rf"(?:\[\s*)?(?:(?:tensor|array|(?:np\.)?float\d*)\(\s*)?(?P<value>{NUMBER})"
    r"(?!\.?\d|\s*[*/+]|[\w:]|-\w)",  # what goes on as a formula, a word, a time or a range is no measurement
    re.IGNORECASE,
)
# "Train - loss: 0.3 | Valid - loss: 0.4": of which part the names behind it are.
_SECTION = re.compile(
    r"(?<![\w/.@-])(?P<part>train|val|valid|test|dev|eval)(?:ing|idation|uation)?"
    r"(?=\s*[:|\])>(\[{][\s'\"({\[]*[a-z]|\s+[->]+\s+[a-z])",
    re.IGNORECASE,
)
_PARTED = re.compile(r"^(loss|metrics)/(train|eval|val)/([\w./-]+)$")
_FIRST_WORDS = {"training": "train", "valid": "val", "validation": "val", "evaluation": "eval"}
_NOT_FINITE = ("nan", "inf", "infinity")
_WRAPPERS = ("metrics", "metric", "logs", "stats", "results")  # what a record puts around its measurements
_MOST = 32  # series one line may bring


def number(text: str) -> float:
    """Return the number in `text`: thousands may be separated, NaN and infinities are numbers."""
    return float(text.replace(",", ""))


_cached = lru_cache(maxsize=1_024)  # the same few names come line after line


@_cached
def series_name(name: str) -> str:
    """Return `name` as a series is called: lower case, words joined by "_", "validation" short."""
    if parted := _PARTED.match(name):  # Composer's "loss/train/total", "metrics/eval/Accuracy"
        what, part, rest = parted.groups()
        name = f"{part}/{rest if what == 'metrics' else 'loss' if rest == 'total' else f'{rest}_loss'}"
    words = re.sub(r"[\s/.\-]+", "_", name.strip().lower()).strip("_").split("_")
    words = words[1:] if len(words) > 1 and words[0] in _WRAPPERS else words
    words[0] = _FIRST_WORDS.get(words[0], words[0])
    return "_".join(word for word in words if word not in ("avg", "average", "mean", "running"))


@_cached
def is_outcome(name: str) -> bool:
    """Return whether a series of this name is what a run is judged by."""
    return bool(_OUTCOME.search(name) or _OUTCOME.search(_OF_PART.sub("", name)))


@_cached
def is_companion(name: str) -> bool:
    """Return whether a series of this name is worth keeping beside an outcome or a step."""
    return bool(_COMPANION.search(name) or _COMPANION.search(_OF_PART.sub("", name)))


def is_series(name: str) -> bool:
    """Return whether a number of this name, in a record, is a series: not a time, a count or an identity."""
    return not _NOT_SERIES.search(name)


def may_measure(lower: str) -> bool:
    """Return whether a line, in lower case, may hold a measurement."""
    for stem in _STEMS:  # noqa: SIM110  `any` costs three times as much here
        if stem in lower:
            return True
    return False


def measurements(text: str, *, stepped: bool) -> Mapping[str, float]:
    """Return the series in `text`, empty if it holds no measurement.

    A line that names a step may bring companions alone; any other needs an outcome. A number behind a mere space
    counts only with a decimal point, as in "loss 3.21".
    """
    found: dict[str, float] = {}
    sections = _sections(text)
    for pair in _PAIR.finditer(text):
        name, value, sign = series_name(pair["name"]), pair["value"], pair["sign"].strip()
        bare = sign in ("", "-", "is") or "reached" in sign
        wanted = is_outcome(name) or (is_companion(name) and (stepped or not bare))
        if pair["other"] or not wanted or (bare and not _stands_alone(name, value)):
            continue
        part = pair["part"] or next((of for at, of in reversed(sections) if at < pair.start()), "")
        name = of_part(part, name)
        if name not in found and len(found) < _MOST:
            found[name] = number(value)
    judged = any(is_outcome(name) for name in found)
    return found if judged or stepped else {}


def _stands_alone(name: str, value: str) -> bool:
    """Return whether a name and a number with a mere space between them are a measurement: "loss 3.2", "loss nan"."""
    if value.lower().strip("+-") in _NOT_FINITE:
        return name not in ("return", "returns")  # of prose: "log() returns Inf"
    return bool(re.search(r"[.eE]", value))


_EVALUATED = re.compile(r"^(?:val|valid|test|eval|dev)_|_(?:val|valid|test|eval|dev)$")


@_cached
def is_of_evaluation(name: str) -> bool:
    """Return whether a series says by its name that it is of an evaluation."""
    return bool(_EVALUATED.search(name))


def _sections(text: str) -> list[tuple[int, str]]:
    """Return where parts of the line begin that are of one part of the data; a line of the training alone has none."""
    sections = [(found.start(), found["part"]) for found in _SECTION.finditer(text)]
    return sections if len({series_name(part) for _, part in sections}) > 1 else []


def of_part(part: str, name: str) -> str:
    """Return a series' name with the part of the data that it is of, "" for none."""
    word = series_name(part) if part else ""
    return name if not word or name.startswith(f"{word}_") else f"{word}_{name}"

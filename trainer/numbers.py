"""Names and numbers in lines of text: which names are measurements, and what counts as a number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[nN]a[nN]\b|[iI]nf(?:inity)?\b)"

# What a run is judged by; one of these makes a line a measurement.
_OUTCOME = re.compile(
    r"(?:^|_)(?:\w*loss(?:es|pi|[vqdg])?\d*|loss_(?!scale|scaling|weight|decimal|fn|func|type|name|coef|ratio|curve|std|var)[a-z]\w*|nll|\w?xent|ce|bce"
    r"|cost|objective|obj|(?:log_?)?likelihood|cross_?entropy|log_?lik|deviance|ppl|perplexity|(?<!grad_)(?:m|all)?acc|acc_class|\w*accuracy"
    r"|(?:acc|top|acc@|prec|prec@)[15]"
    r"|rew(?:ards?)?|returns?|n?mse|n?mae|n?rmse|n?rse|rae|rmsle|s?mape|r2|f1|bleu(?:_?\d)?|rouge\w*|uas|las|chrf|meteor|cider|mpjpe|eer|der|\w*iou|\w*auc|auroc|auprc|ndcg|mrr|hits?"
    r"|mcc|kappa|n?elbo"
    r"|spearman\w*|pearson\w*|(?:val|test|eval|dev)_score(?:_\w+)?|reciprocal_rank|psnr|ssim|pesq|stoi|(?:si_?)?sdri?|lpips|(?:fid|kid)(?:\d+k(?:_[a-z]+)?)?|wer|cer|bpb|bpc)$"
)
_OF_TIME = re.compile(r"(?:time|reader|batch|data)_cost$")
# What is worth a series once the line is known to be a measurement; beside a count it makes the line one.
_COMPANION = re.compile(
    r"(?:^|_)(?:err(?:or)?_[a-z]\w{0,7}|lr|learning_rate|grad_?norm|gnorm|mfu|tps|tokens_per_sec(?:ond)?|\w*score|\w*err(?:or)?|precision|recall|kl|kld"
    r"|entropy|map|map50|map50_95|dice|jaccard|margin|margins|divergence|fitness|inertia|residual|ll|log_?prob|specificity"
    r"|sensitivity|success_rate|success|corr(?:elation)?|brier|ece|crps|gini|hr|ap|l[12]|\w*ep_?ret|ndcg|mrr|concordance|c_index|regret|gap|em|exact|exact_match|per|hd95|hausdorff|rank|mr)$"
)
# Of one of several outputs, in what it is told: "rmse_e", "mae_per_atom", "acc_cls".
_OF_OUTPUT = re.compile(
    r"(?:^|_)(?:r?mse|mae|r2|nll|acc|auc|f1|precision|recall|dice|iou)"
    r"_(?:e|f|x|y|z|u|v|p|energy|forces?|stress|virial|dipole|charges?|cls|reg|box|obj|seg|mask|macro|micro|weighted)\d?$"
)
_PER_ATOM = re.compile(r"_per_\w+$")
# What may follow such a name: the part of the data it is of, and how many answers count ("recall@20").
_OF_PART = re.compile(
    r"(?:@\d+)?(?:_(?:train|training|val|valid|validation|test|dev|eval|total|sum|all|epoch|step|batch|ema|smooth|estimate|score))?$"
)
# A part of each name above, to tell cheaply that a line holds none of them.
_STEMS = (
    "loss", "nll", "entropy", "ppl", "perplexity", "acc", "top1", "top5", "rew", "return", "mse", "mae", "mape", "f1",
    "bleu", "rouge", "iou", "auc", "auroc", "auprc", "psnr", "ssim", "fid", "wer", "cer", "bpb", "bpc", "lr",
    "learning", "norm", "mfu", "tps", "tokens", "score", "err", "prec", "recall", "kl", "map", "dice", "elbo",
    "margin", "xent", "ce", "cost", "obj", "lik", "r2", "ndcg", "mrr", "hit", "mcc", "kappa", "spearman",
    "pearson", "rse", "rae", "divergence", "fitness", "inertia", "deviance", "rms", "ll", "success", "corr", "regret",
    "gap", "chrf", "meteor", "cider", "mpjpe", "exact", "hd95", "hausdorff",
)  # fmt: skip
_NOT_SERIES = re.compile(
    r"(?:^|_)(?:epoch|time|timestamp|ts|runtime|elapsed|per_second|total_flos|pid|rank|seed|num_gpus|hp_metric)$"
)
# What may stand before a name as a word of its own and belongs to it: "Batch Loss", "Gen Loss Total".
_BEFORE = frozenset({
    "train", "training", "val", "val.", "vali", "valid", "validation", "eval", "evaluation", "test", "testing", "dev",
    "avg", "avg.", "average", "averaged", "mean", "running", "lm", "total", "d", "g", "policy", "value", "actor",
    "critic",
    "generator", "discriminator", "gen", "disc", "box", "cls", "kl", "batch", "step", "epoch", "episode", "global",
    "smooth", "smoothed", "weighted", "macro", "micro", "student", "teacher", "recon", "reconstruction", "real",
    "fake", "aux", "auxiliary", "main", "task", "contrastive", "triplet", "mlm", "ctc", "att", "log", "negative",
    "squared", "absolute", "root", "balanced", "top-1", "top-5", "top1", "top5", "token", "word", "node", "edge",
    "energy", "learning", "grad", "gradient", "error", "cross", "force", "forces", "stress", "in-sample",
    "out-of-sample", "oob", "cv", "q", "pi", "alpha", "temperature", "prior", "posterior", "content", "style", "cycle",
    "identity", "inception", "median", "loss", "acc", "accuracy", "reward", "perplexity",
})  # fmt: skip
_SHORT = re.compile(r"\b(?:em|[pde]er|[lu]as|mr)\s?[:=]")  # stems of so many other words
# None itself: a record of a measurement, or what it took.
RECORDS = frozenset({
    "best", "min", "max", "std", "stddev", "final", "target", "previous", "prev", "init", "initial", "lowest",
    "highest", "time",
})  # fmt: skip
_QUALIFIERS = _BEFORE | RECORDS
_MOST_BEFORE = 4
_BEST_ABROAD = ("лучш", "最佳", "最好", "最优", "meilleur", "mejor", "beste", "miglior", "melhor")
_OF_EPISODES = re.compile(r"(?:min|max)_(?:episode_)?(?:reward|return)$")  # of the last few, and no record
_QUOTIENT = re.compile(r"\b\d+/\d+\s?=\s?(?=\d?\.\d|\d+(?:\.\d+)?\s?%)")  # "acc: 2046/3748=0.5459"
# "Accuracy: 9842/10000 (98%)"
_SHARE = re.compile(r"(?<=[a-z])(?P<sign>\s?[:=]\s*)\d+\s?/\s?\d+\s*\(\s?(?P<share>\d+(?:\.\d+)?)\s?%\)", re.IGNORECASE)
_OF_A_PART = re.compile(r"epoch|step|iter|train|val|test", re.IGNORECASE)
# "mIoU/mAcc/allAcc 0.05/0.12/0.13"
_NAMES_AND_NUMBERS = re.compile(  # of bounded length: a line may be made to keep us busy
    r"(?<![\w/])(?P<names>[A-Za-z]\w{0,30}(?:/[A-Za-z]\w{0,30}){1,7})\s?[:\s]\s?"
    r"(?P<numbers>[-+]?\d{1,9}(?:\.\d{1,18})?%?(?:/[-+]?\d{1,9}(?:\.\d{1,18})?%?){1,7})"
)
_TWINS = re.compile(  # "mean/median reward 1.5/2.5"
    r"\b(?P<one>mean|min|median|avg|train)/(?P<two>[a-z]+) (?P<name>[a-z]\w*)(?P<sign>\s*[:=]\s*|\s)"
    r"(?P<first>[-+]?\d{1,9}(?:\.\d{1,18})?)\s?/\s?(?P<second>[-+]?\d{1,9}(?:\.\d{1,18})?)",
    re.IGNORECASE,
)
_RECORD = re.compile(
    r"(?:best|min|max|final|target(?!_(?:\w*loss|acc|err))|previous|prev|init|initial|lowest|highest|time)_"
)
_NEAR_VALUE = 3  # spaces between a name and its number, unless the line counts
_NEAR = 56  # characters that those words may have
_NO_NAME = re.compile(
    r"(?:with|and|of|at|the|is|in|by|for|on|to|from|has|had|got|new|now|this|last|current|latest|overall|model|our)$",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"(?:^|[-|,;:]\s+|\s{2,}|\t|(?<=\.\d\d)\d*%?\s(?!(?:s|ms|sec|m|h|k|K|M|G|B|W|it|px|mm|cm|dB|deg)\b))(?P<first>[A-Za-z][\w.-]*\s)?"
    r"(?P<word>(?!(?:with|and|of|at|the|is|in|by|for|on|to|has|had|got|new|now|this|last|current|latest|overall|model|our)\b)"
    r"[A-Za-z](?:[\w-]*[A-Za-z_-])?(?:_\d+)?\.?)\s$",  # no "gpu0"
    re.IGNORECASE,
)
_ALONE_IN_CELL = re.compile(  # "PSNR: 14.6433,Loss: 0.1869, VGG Loss 0.00295100"
    r"(?:[|,;]\s*|\s{2,}|\t|(?<=\.\d\d)\d*\s(?!(?:s|ms|sec|m|h|k|K|M|G|B|W|it|px|mm|cm|dB|deg)\b))"
    r"(?P<first>(?:average|avg\.?|mean|train|training|val|valid|validation|test)\s)?"
    r"(?P<word>(?!(?:with|and|of|at|the|is|in|by|for|on|to|has|had|got|new|now|this|last|current|latest|overall|model|our|from)\b)"
    r"[A-Za-z](?:[\w-]*[A-Za-z_-])?\.?)\s$",
    re.IGNORECASE,
)
# The last words of names that are none by themselves: "grad norm", "learning rate", "loss total".
_LAST_WORDS = frozenset({"norm", "rate", "total", "sum", "ema", "entropy", "estimate"})
# "F1 on test = 0.73", "error in val = 4.5"
_ON_PART = re.compile(r"\b([A-Za-z][\w@]*) (?:on|in) (train|dev|val|test)(?: set)?(?=\s*[:=])")
_AT = re.compile(r"(?<=[a-z]) @(?=\d)")  # "Hits @10: 0.3"
# "Loss D Real: 0.58": what it is of stands behind the name.
_OF_WHAT = re.compile(r"\b(?:[Ll]oss|LOSS|[Aa]cc)(?: [A-Z]\w{0,11}){1,2}(?=\s?[:=]\s*[-+.\d])")
_PAIR = re.compile(
    # A name is taken whole or not at all, so that prose is soon passed over; "->" and "..." are no part of it.
    r"(?<![\w./@?&-])(?=(?P<name>[a-z]\w*(?:(?:[/@]|\.(?!\.)|-(?!>))\w*)*))(?P=name)"
    r"(?:\s?\((?:(?P<part>train\w*|val\w*|test|dev|eval\w*)|[^()\d=]{1,24})\)|\s?\[[\w\- ]{1,16}\](?=\s*[:=]))?"
    r"(?: (?:value|average|avg|mean)(?=\s*[:=]))?(?P<sign>(?=\[\s*[-+]?\d*\.\d+\s*\])|['\"]?\s*(?:[:=]{1,2}|[-=]>|→|\.{3,})\s*"
    r"|['\"],\s|['\"]?\s(?:is|was)\s?[:=]\s*|['\"]?\s(?:is|reached|-)\s|\s{1,8})"
    rf"(?:\[\s*)?(?:(?:tensor|array|(?:np\.)?float\d*)\(\s*)?(?P<value>{NUMBER})"
    # What goes on as a formula, a word, a time or a range is no measurement; a spread ("+/- 0.1") may follow one.
    r"(?!\.?\d|\s*(?:[*/](?!\s[\d,]+ @)(?=\s*[\w(.])|\+(?!/-))(?!-)|(?!(?:dB|mm|cm|px|pts|deg)(?!\w))[\w:]|-\w)",
    re.IGNORECASE,
)
# "Train - loss: 0.3 | Valid - loss: 0.4": of which part the names behind it are.
_SECTION = re.compile(
    r"(?=[tvde])(?<![\w/.@-])(?P<part>train|val|valid|test|dev|eval)(?:ing|ating|idation|uation)?"
    r"(?=\s*[:|\])>(\[{][\s'\"({\[]*[a-z]|\s+[->]+\s+[a-z])",
    re.IGNORECASE,
)
_PART_BEHIND = re.compile(r"%?\s?\((?P<part>train|val|valid|validation|test|dev|eval)\)", re.IGNORECASE)
_PARTED = re.compile(r"^(loss|metrics)/(train|eval|val)/([\w./-]+)$")
_AVERAGED = re.compile(r"(?:avg|average|mean|running)\b|(?:avg|mean)_", re.IGNORECASE)
_HUMPED = re.compile(r"^([Tt]rain|[Vv]al|[Vv]alid|[Tt]est|[Ee]val)(?=[A-Z])")  # "TrainLoss"
_FIRST_WORDS = {
    "training": "train",
    "valid": "val",
    "vali": "val",
    "validation": "val",
    "evaluation": "eval",
    "testing": "test",
    "tr": "train",
    "va": "val",
    "te": "test",
}
_PARTS = ("train", "val", "test", "dev", "eval")
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
    name = _HUMPED.sub(r"\1_", name)
    words = re.sub(r"[\s/.\-]+", "_", name.strip().lower()).strip("_").split("_")
    words = words[1:] if len(words) > 1 and words[0] in _WRAPPERS else words
    words[0] = _FIRST_WORDS.get(words[0], words[0])
    return "_".join(word for word in words if word not in ("avg", "average", "averaged", "mean", "running"))


@_cached
def _may_end(word: str) -> bool:
    """Return whether a name may be, or end in, this word."""
    name = series_name(word)
    return not _RECORD.match(name) and (is_outcome(name) or is_companion(name) or name in _PARTS or name in _LAST_WORDS)


@_cached
def is_outcome(name: str) -> bool:
    """Return whether a series of this name is what a run is judged by."""
    return not _OF_TIME.search(name) and bool(_OUTCOME.search(name) or _OUTCOME.search(_OF_PART.sub("", name)))


@_cached
def is_companion(name: str) -> bool:
    """Return whether a series of this name is worth keeping beside an outcome or a step."""
    bare = _OF_PART.sub("", name)
    return bool(_COMPANION.search(name) or _COMPANION.search(bare) or _OF_OUTPUT.search(_PER_ATOM.sub("", name)))


def is_series(name: str) -> bool:
    """Return whether a number of this name, in a record, is a series: not a time, a count or an identity."""
    return not _NOT_SERIES.search(name)


def may_measure(lower: str) -> bool:
    """Return whether a line, in lower case, may hold a measurement."""
    for stem in _STEMS:  # `any` costs three times as much here
        if stem in lower:
            return True
    return (":" in lower or "=" in lower) and _SHORT.search(lower) is not None


def measurements(text: str, *, stepped: bool) -> Mapping[str, float]:
    """Return the series in `text`, empty if it holds no measurement.

    A line that names a step may bring companions alone; any other needs an outcome. A number behind a mere space
    counts only with a decimal point, as in "loss 3.21", or where the line names a step and no number follows it.
    """
    if "/" in text:
        if "n/" in text or "g/" in text:
            text = _TWINS.sub(r"\g<one> \g<name>\g<sign>\g<first>, \g<two> \g<name>\g<sign>\g<second>", text)
        text = _SHARE.sub(r"\g<sign>\g<share>%", text) if "%)" in text else text
        text = _QUOTIENT.sub("", text) if "=" in text else text
        if text.count("/") > 1 and _OF_A_PART.search(text):
            text = _NAMES_AND_NUMBERS.sub(_paired, text)
    if " on " in text or " in " in text:
        text = _ON_PART.sub(r"\2 \1", text)
    if " @" in text:
        text = _AT.sub("@", text)
    if "oss " in text or "cc " in text:
        text = _OF_WHAT.sub(lambda found: found.group().replace(" ", "_"), text)
    found: dict[str, float] = {}
    judged = False
    sections: list[tuple[int, str]] | None = None
    of = ""  # the part that the last name was of, by its own words
    before_name = ""
    for pair in _PAIR.finditer(text):
        word, part, sign, value = pair.groups()
        if not _may_end(word):
            continue
        at = pair.start()
        before = _words_before(text, at, signed=sign.strip()[-1:] in (":", "="))
        name = series_name(" ".join((*before, word)))
        near = stepped or "|" in text or len(sign) <= _NEAR_VALUE  # of what stands in cells the next word is far
        wide, sign = sign.isspace() and not near, sign.strip()
        bare = sign in ("", "-", "is") or "reached" in sign
        wanted = is_outcome(name) or (is_companion(name) and (stepped or not bare or (judged and "." in value)))
        wanted = wanted or ((stepped or before_name.rpartition("_")[2] in _PARTS) and name in _PARTS and "." in value)
        if not wanted or (bare and (wide or not _stands_alone(name, value, text[pair.end() :], stepped))):
            continue
        if before and before[0].lower() in RECORDS and not _OF_EPISODES.match(name):
            continue
        if not part and (behind := _PART_BEHIND.match(text, pair.end())):
            part = behind["part"]
        if not part:
            sections = _sections(text) if sections is None else sections
            part = next((of for begins, of in reversed(sections) if begins < at), "") if sections else ""
        if part:
            name = of_part(part, name)
        stem, _, last = before_name.rpartition("_")
        if name in _PARTS and last in _PARTS and stem:  # "accuracy train: 0.5 test: 0.4"
            name = f"{stem}_{name}"
        before_name = name
        first, parts, _ = name.partition("_")
        of = first if parts and first in _PARTS else of
        if name in found and not part:  # "train loss 0.5 acc 0.8, val loss 0.6 acc 0.7"
            name = of_part(of, name)
        if of_part(of, name) in found and of and name not in found and _AVERAGED.match(" ".join((*before, word))):
            continue  # "test_loss: 2.1 | avg_loss: 2.0"
        if name not in found and len(found) < _MOST:
            found[name] = number(value)
            judged = judged or is_outcome(name) or (not bare and "." in value and is_of_evaluation(name))
    return found if judged or stepped else {}


def _paired(found: re.Match[str]) -> str:
    names, numbers = found["names"].split("/"), found["numbers"].split("/")
    if len(names) != len(numbers):
        return found.group()
    return ", ".join(f"{name}: {value}" for name, value in zip(names, numbers, strict=True))


def _words_before(text: str, at: int, *, signed: bool) -> list[str]:
    """Return the words that stand before the name at `at` and belong to it, the first perhaps one of `RECORDS`.

    Where a sign follows the name, one word that nobody knows belongs to it, too, if it stands alone between signs:
    "- Rec loss: 0.3".
    """
    if at < 2 or text[at - 1] != " ":
        return []
    words: list[str] = []
    begins = at  # of the name so far
    for word in reversed(text[max(0, at - _NEAR) : at].rsplit(None, _MOST_BEFORE + 1)):
        bare = word.lstrip("[({|<'\"")
        lower = bare.lower()
        if lower in RECORDS or lower.startswith(_BEST_ABROAD):
            return [bare if lower in RECORDS else "best", *words]
        if (lower not in _BEFORE and not is_outcome(lower)) or len(words) == _MOST_BEFORE:
            may = text[begins - 2].isalnum() or text[begins - 2] in "_.-"
            form = _ALONE if signed else _ALONE_IN_CELL
            alone = form.search(text, max(0, begins - _NEAR), begins) if may else None
            first = (alone["first"] or "").strip() if alone else ""
            whole = (
                not first
                or not signed
                or (
                    alone is not None
                    and alone["word"][-1] != "."
                    and first.isalpha()
                    and first.lower() not in RECORDS
                    and not _NO_NAME.match(first)
                )
            )
            return [*first.split(), alone["word"], *words] if alone and whole else words
        words.insert(0, bare)
        begins = text.rindex(word, 0, begins)
        if bare != word:
            break
    return words


def _stands_alone(name: str, value: str, behind: str, stepped: bool) -> bool:
    """Return whether a name and a number with a mere space between them are a measurement: "loss 3.2", "loss nan"."""
    if name in ("return", "returns") and not stepped:
        return False  # of prose: "log() returns Inf"
    if value.lower().strip("+-") in _NOT_FINITE:
        return True
    if re.search(r"[.eE]", value):
        return True
    return stepped and is_outcome(name) and not re.match(r"\s*[\d(%]|\s+of\b|\s+\w", behind)


_EVALUATED = re.compile(r"^(?P<first>val|valid|test|eval|dev)(?:_|$)|_(?P<last>val|valid|test|eval|dev|te|va)$")


@_cached
def is_of_evaluation(name: str) -> bool:
    """Return whether a series says by its name that it is of an evaluation."""
    return bool(_EVALUATED.search(name))


def evaluation_of(name: str) -> str:
    """Return the part of the data that a series of an evaluation names, "" for any other series."""
    found = _EVALUATED.search(name)
    return found["first"] or found["last"] if found else ""


def _sections(text: str) -> list[tuple[int, str]]:
    """Return where parts of the line begin that are of one part of the data; a line of the training alone has none."""
    sections = [(found.start(), found["part"]) for found in _SECTION.finditer(text)]
    return sections if len(sections) > 1 and len({series_name(part) for _, part in sections}) > 1 else []


def of_part(part: str, name: str) -> str:
    """Return a series' name with the part of the data that it is of, "" for none."""
    word = series_name(part) if part else ""
    return name if not word or name.startswith(f"{word}_") else f"{word}_{name}"


# Of what a line that names an epoch may tell beside what it measures.
_BESIDE = re.compile(
    r"(?:^|_)(?:time|times|sec|secs|seconds|s|ms|min|mins|minutes|eta|elapsed|dur|duration|speed|rate|throughput|mem\w*|gpu\w*"
    r"|cpu\w*|ram|vram|ips|fps|wps|ups|tok\w*|samples?|size|momentum|wd|decay|patience|best|max|seed|version|wait|data|batch"
    r"|epochs?|steps?|iters?|it|progress|remaining|left|took|scale|temp|temperature|beta|epsilon|eps|gamma|tau|dropout"
    r"|threshold|factor|weight|ratio|port|id|rank|world|workers?|threads?|fwd|bwd|forward|backward|alloc\w*|reserved|cached?"
    r"|\w+time|dt|latency|disk|code)\d*$"
)
_ANY_PAIR = re.compile(
    rf"(?<![\w./@?&-])(?P<name>[a-z][\w./@-]*(?: [a-z][\w./@-]*)?)['\"]?\s*[:=]\s*(?P<value>{NUMBER})"
    r"(?!\.?\d|\s*[*/]|[\w:]|-\w|\s*(?:s|sec|secs|seconds|ms|min|mins|h|MB|MiB|GB|GiB|it/s|s/it)\b)",
    re.IGNORECASE,
)


@_cached
def is_worth_naming(name: str) -> bool:
    """Return whether a number of a name that nobody knows may be a series: no time, size, setting or record."""
    return not _BESIDE.search(name) and not _RECORD.match(name) and is_series(name)


_EXTREME = re.compile(r"(?:^|_)(?:best|min|max|minimum|maximum|worst|lowest|highest)(?:_|$)")


@_cached
def is_extreme(name: str) -> bool:
    """Return whether a series says by its name that it is the best or the worst of several."""
    return bool(_EXTREME.search(name)) and is_series(name) and not _BESIDE.search(_EXTREME.sub("_", name).strip("_"))


def anything(text: str) -> Mapping[str, float]:
    """Return whatever `text` gives a name and a number with a decimal point: of a line that names its epoch."""
    found: dict[str, float] = {}
    for pair in _ANY_PAIR.finditer(text):
        words = pair["name"].split()
        name = series_name(words[-1] if words[0].lower() not in _QUALIFIERS else pair["name"])
        if _BESIDE.search(name) or _RECORD.match(name) or not name:
            continue
        if re.search(r"[.eE]|nan|inf", pair["value"]) and len(found) < _MOST:
            found.setdefault(name, number(pair["value"]))
    return found

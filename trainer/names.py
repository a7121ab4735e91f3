"""What series are called: which names are of measurements, which of settings, and of which part of the data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# What a run is judged by; one of these makes a line a measurement.
_OUTCOME = re.compile(
    r"(?:^|_)(?:\w*loss(?:es|pi|[vqdg])?\d*|loss_(?!scale|scaling|weight|decimal|fn|func|type|name|coef|ratio|curve|std|var)[a-z]\w*|nll|\w?xent|ce|bce"
    r"|cost|objective|obj|(?:log_?)?likelihood|cross_?entropy|log_?lik|deviance|ppl|perplexity|(?<!grad_)(?:m|a|all)?acc|acc_class|\w*accurac?y(?:_flip)?|ep_r|rank[_@]?\d+"
    r"|(?:acc|top|acc@|prec|prec@)[15]|top_?[15]_err(?:or)?"
    r"|rew(?:ards?)?|returns?|n?mse|n?mae|n?rmse|n?rse|rae|rmsle|s?mape|r2|f1|bleu(?:_?\d)?|rouge\w*|uas|las|chrf|meteor|cider|dice|mpjpe|eer|der|\w*iou|\w*auc|auroc|auprc|ndcg|mrr|hits?"
    r"|mcc|kappa|n?elbo|exploitability|nash_?conv"
    r"|spearman\w*|pearson\w*|(?:val|test|eval|dev)_score(?:_\w+)?|reciprocal_rank|psnr|ssim|pesq|stoi|(?:si_?)?sdri?|lpips|(?:fid|kid)(?:\d+k(?:_[a-z]+)?)?|wer|cer|bpb|bpc)$"
)
_NO_OUTCOME = re.compile(r"(?:time|reader|batch|data)_cost$|cache_hits?$|^(?:use|do|compute|enable|disable|with)_")
# What is worth a series once the line is known to be a measurement; beside a count it makes the line one.
_COMPANION = re.compile(
    r"(?:^|_)(?:err(?:or)?_[a-z]\w{0,7}|lr|learning_rate|grad_?norm|gnorm|mfu|tps|tokens_per_sec(?:ond)?|\w*score|\w*err(?:or)?|precision|recall|kl|kld"
    r"|entropy|map|map50|map50_95|dice|jaccard|margin|margins|divergence|fitness|inertia|residual|ll|log_?prob|specificity"
    r"|sensitivity|success_rate|success|corr(?:elation)?|brier|ece|crps|gini|hr|ap|l[12]|\w*ep_?ret|ndcg|mrr|concordance|c_index|regret|abs_?rel|sq_?rel|rmse_?log|silog|gap|em|exact|exact_match|per|hd95|hausdorff|rank|mr|pure_ratio\d?)$"
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
    "gap", "exploit", "nash", "chrf", "meteor", "cider", "mpjpe", "exact", "hd95", "hausdorff",
)  # fmt: skip
_NOT_SERIES = re.compile(
    r"(?:^|_)(?:epoch|time|timestamp|ts|runtime|elapsed|per_second|total_flos|pid|seed|num_gpus|hp_metric|(?<!map_)rank)$"
)
_SHORT = re.compile(r"\b(?:em|[pde]er|[lu]as|mr)\s?[:=]")  # stems of so many other words
# None itself: a record of a measurement, or what it took.
RECORDS = frozenset({
    "best", "min", "max", "std", "stddev", "final", "target", "previous", "prev", "init", "initial", "lowest",
    "highest", "maximum", "minimum", "time",
})  # fmt: skip
RECORD = re.compile(
    r"(?:best|min|max|final|target(?!_(?:\w*loss|acc|err))|previous|prev|init|initial|lowest|highest|time)_"
)
# The last words of names that are none by themselves: "grad norm", "learning rate", "loss total".
_LAST_WORDS = frozenset({"norm", "rate", "total", "sum", "ema", "entropy", "estimate"})
_PARTED = re.compile(r"^(loss|metrics)/(train|eval|val)/([\w./-]+)$")
# "TrainLoss", "metrics/evalLoss"
_HUMPED = re.compile(
    r"(?:^|(?<=[\s/.]))([Tt]rain(?:ing)?|[Vv]al(?:id(?:ation)?)?|[Tt]est(?:ing)?|[Ee]val(?:uation)?)(?=[A-Z])"
)
_FIRST_WORDS = {
    "training": "train",
    "valid": "val",
    "vali": "val",
    "validation": "val",
    "validate": "val",
    "evaluate": "eval",
    "evaluation": "eval",
    "testing": "test",
    "tr": "train",
    "va": "val",
    "te": "test",
}
PARTS = ("train", "val", "test", "dev", "eval")
_WRAPPERS = ("metrics", "metric", "logs", "stats", "results")  # what a record puts around its measurements
_EVALUATED = re.compile(r"^(?P<first>val|valid|test|eval|dev)(?:_|$)|_(?P<last>val|valid|test|eval|dev|te|va)$")


# Of what a line that names an epoch may tell beside what it measures.
BESIDE = re.compile(
    r"(?:^|_)(?:time|times|sec|secs|seconds|s|ms|min|mins|minutes|eta|elapsed|dur|duration|speed|rate|throughput|mem\w*|gpu\w*"
    r"|cpu\w*|ram|vram|ips|fps|wps|ups|tok\w*|samples?|size|momentum|wd|decay|patience|best|max|seed|version|wait|data|batch"
    r"|epochs?|steps?|iters?|it|progress|remaining|left|took|scale|temp|temperature|beta|epsilon|eps|gamma|tau|dropout"
    r"|threshold|factor|weight|ratio|port|id|rank|world|workers?|threads?|fwd|bwd|forward|backward|alloc\w*|reserved|cached?"
    r"|\w+time|[bd]t|load|latency|disk|code)\d*$"
)
_EXTREME = re.compile(r"(?:^|_)(?:best|min|max|minimum|maximum|worst|lowest|highest)(?:_|$)")


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
    words = [word for word in words if word not in ("avg", "average", "averaged", "mean", "running")]
    return "_".join([_FIRST_WORDS.get(words[0], words[0]), *words[1:]]) if words else ""


@_cached
def may_end(word: str) -> bool:
    """Return whether a name may be, or end in, this word."""
    name = series_name(word)
    return not RECORD.match(name) and (is_outcome(name) or is_companion(name) or name in PARTS or name in _LAST_WORDS)


@_cached
def is_outcome(name: str) -> bool:
    """Return whether a series of this name is what a run is judged by."""
    return not _NO_OUTCOME.search(name) and bool(_OUTCOME.search(name) or _OUTCOME.search(_OF_PART.sub("", name)))


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
    if "%" in lower and "rank" in lower:  # "Rank-1  : 92.1%", and no process
        return True
    return (":" in lower or "=" in lower) and _SHORT.search(lower) is not None


@_cached
def is_of_evaluation(name: str) -> bool:
    """Return whether a series says by its name that it is of an evaluation."""
    return bool(_EVALUATED.search(name))


def all_of_evaluation(values: Iterable[str]) -> bool:
    """Return whether what a line judges the run by is all of an evaluation."""
    names = list(values)
    judged = [name for name in names if is_outcome(name)] or names
    return bool(judged) and all(map(is_of_evaluation, judged))


def evaluation_of(name: str) -> str:
    """Return the part of the data that a series of an evaluation names, "" for any other series."""
    found = _EVALUATED.search(name)
    return found["first"] or found["last"] if found else ""


def of_part(part: str, name: str) -> str:
    """Return a series' name with the part of the data that it is of, "" for none."""
    word = series_name(part) if part else ""
    return name if not word or name.startswith(f"{word}_") else f"{word}_{name}"


@_cached
def is_worth_naming(name: str) -> bool:
    """Return whether a number of a name that nobody knows may be a series: no time, size, setting or record."""
    return not BESIDE.search(name) and not RECORD.match(name) and is_series(name)


@_cached
def is_extreme(name: str) -> bool:
    """Return whether a series says by its name that it is the best or the worst of several."""
    return bool(_EXTREME.search(name)) and is_series(name) and not BESIDE.search(_EXTREME.sub("_", name).strip("_"))

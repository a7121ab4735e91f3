"""What the name of a checkpoint's file says: of which save it is, and whether another one takes its place.

    model_000100.pt, optim_000100_rank1.pt    two parts of one save
    best.pt, last.pt                          two saves
    step_100.pt, step_200.pt                  one after another: the newer takes the older's place
    fold_0.pt, fold_1.pt                      two results: neither takes the other's

A number that could be either counts as a result's until it is too large to be one: what is kept too long costs a
little, what is dropped is lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

WEIGHTS = frozenset(
    {".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".npz", ".npy", ".pkl", ".h5", ".hdf5", ".keras", ".gguf"}
    | {".msgpack", ".distcp", ".tar", ".onnx", ".pt2", ".th", ".pyth", ".pickle", ".joblib", ".params", ".eqx"}
    | {".pdparams", ".pdopt", ".nemo", ".tflite", ".cbm", ".ubj", ".index"}
)
# A model as libraries save it with `save_pretrained`: the files beside it belong to it.
MODEL_FILE = re.compile(
    r"^(?:model|pytorch_model|adapter_model|diffusion_pytorch_model|pytorch_lora_weights)"
    r"(?:\.\w+)?(?:-\d+-of-\d+)?\.(?:safetensors|bin)$"
)
# Says which checkpoint is the newest: `latest` of DeepSpeed, `checkpoint` of TensorFlow, …
POINTERS = frozenset({"latest", "last_checkpoint", "checkpoint", "latest_checkpointed_iteration.txt"})
_TENSORFLOW = re.compile(r"\.(?:index|meta|data-\d+-of-\d+)$")
_SHARD = re.compile(r"\d+-of-\d+")
_NUMBER = re.compile(r"([A-Za-z]*)([-_=.\s]*)(\d+(?:\.\d+)?(?:e-?\d+)?)")
_STEPS = frozenset({
    "step", "steps", "iter", "iters", "iteration", "iterations", "it", "epoch", "epochs", "ep", "e", "update",
    "updates", "batch", "batches", "episode", "episodes", "round", "ckpt", "checkpoint", "checkpoints", "snapshot",
})  # fmt: skip
_WHEN = frozenset({
    "best", "last", "latest", "final", "newest", "current", "top",
})  # fmt: skip
_MEASURES = frozenset({
    "loss", "acc", "accuracy", "f", "auc", "map", "miou", "iou", "bleu", "rouge", "score", "reward", "psnr", "ssim",
    "fid", "ppl", "perplexity", "dice", "wer", "cer", "return", "val", "metric", "error", "mse", "mae", "rmse",
})  # fmt: skip
# What tells one result, one machine or one setting from another.
_OTHERS = frozenset({
    "fold", "folds", "cv", "seed", "rank", "mp", "dp", "pp", "tp", "gpu", "node", "worker", "process", "states",
    "part", "shard", "split", "expert", "member", "ensemble", "stage", "phase", "task", "run", "version", "v",
    "trial", "lr", "wd", "bs", "dim", "hidden", "width", "size", "alpha", "beta", "gamma", "temp", "temperature",
    "dropout", "lambda", "layer", "layers", "head", "heads", "level", "scale",
})  # fmt: skip
_ALL = frozenset({
    "model", "models", "net", "network", "weights", "state", "params", "ckpt", "checkpoint", "snapshot", "dict",
    "module",
})  # fmt: skip
# Of what models are made, and what is saved beside them.
_PARTS = frozenset({
    "optim", "optimizer", "opt", "scheduler", "sched", "scaler", "ema", "meta", "rng", "generator", "discriminator",
    "encoder", "decoder", "g", "d", "actor", "critic", "policy", "value", "teacher", "student", "lora", "adapter",
})  # fmt: skip
_OF_ALL = frozenset({"ckpt", "checkpoint", "snapshot"})
_SURE, _INDEX, _NEVER = -1.0, 20.0, math.inf  # the largest number that may yet be a result's
_INDEX_DIGITS = 3  # "0400" counts steps, whatever stands before it …
_STEP_DIGITS = 5  # … and so does what stands without a gap behind what all are called


@dataclass(frozen=True, kw_only=True)
class _Count:
    """A number that may tell one save from another."""

    start: int
    end: int
    value: float
    limit: float  # up to which it may be a result's
    by: int  # which of its name's numbers decides: the one before it in "2026-11-30" or "05-0.21"


def is_ordinary(name: str) -> bool:
    """Return whether a file's name says only that it is a checkpoint, and when it was saved: "last_model.pt"."""
    return set(re.findall(r"[a-z]+", bare(name).lower())) <= _WHEN | _ALL


def bare(name: str) -> str:
    """Return a file's name without what tells its format."""
    stem = _TENSORFLOW.sub("", name)
    while (suffix := PurePath(stem).suffix) and (suffix in WEIGHTS or suffix in (".json", ".yaml", ".yml", ".txt")):
        stem = stem[: -len(suffix)]
    return stem


def moment(name: str) -> tuple[str, ...]:
    """Return what a file's name says of when it was saved: "best" and its like, then the numbers of steps."""
    stem = _SHARD.sub("", bare(name))
    when = sorted(word for word in _words(stem) if word in _WHEN)
    return (*when, *(f"{count.value:g}" for count in _counts(stem)))


def is_all(name: str) -> bool:
    """Return whether a file's name speaks of no part: "model_100.pt", "last.ckpt"."""
    return all(word in _ALL or word in _WHEN or word in _STEPS or word in _MEASURES for word in _words(bare(name)))


def main(names: Sequence[str]) -> str | None:
    """Return the one of a checkpoint's files that a script takes by its name; None where it needs the folder."""
    weights = [name for name in names if PurePath(name).suffix in WEIGHTS]
    inner = {PurePath(name).name for name in names}
    if len(names) == 1:
        return names[0]
    if inner & {"config.json", "trainer_state.json"} or any(map(MODEL_FILE.match, inner)):
        return None
    if len(weights) > 1:
        weights = [name for name in weights if is_all(PurePath(name).name) and _names_all(name)]
    return weights[0] if len(weights) == 1 else None


def roles(paths: Iterable[str], apart: Iterable[str] = ()) -> Mapping[str, str]:
    """Return for each path what it is saved as, over and over: equal for those that follow one another.

    `apart` are paths that follow nothing but themselves.
    """
    alone = set(apart)
    counts = {path: list(_counts_of_path(path)) for path in set(paths) - alone}
    families = {path: _masked(path, found) for path, found in counts.items()}
    largest: dict[tuple[str, int], float] = {}
    for path, found in counts.items():
        for at, count in enumerate(found):
            key = families[path], at
            largest[key] = max(count.value, largest.get(key, 0.0))
    told = {
        path: _masked(path, [one for one in found if largest[families[path], one.by] > one.limit])
        for path, found in counts.items()
    }
    return {**told, **{path: path for path in alone}}


def _masked(path: str, counts: Sequence[_Count]) -> str:
    for count in reversed(counts):
        path = f"{path[: count.start]}#{path[count.end :]}"
    return path


def _words(stem: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Za-z]+", stem)]


def _names_all(name: str) -> bool:
    words = set(_words(bare(PurePath(name).name)))
    return bool(words & _OF_ALL) or not words & _ALL


def _counts_of_path(path: str) -> Iterator[_Count]:
    """Return the numbers of its last part; of the folders above it only of those whose name is a number."""
    at = before = 0
    for part in path.split("/"):
        found = _counts(part) if at + len(part) == len(path) or part.isdecimal() else []
        yield from (replace(one, start=one.start + at, end=one.end + at, by=one.by + before) for one in found)
        at, before = at + len(part) + 1, before + len(found)


def _counts(text: str) -> list[_Count]:
    """Return the numbers in a name that may be of a save, in order."""
    found: list[_Count] = []
    shards = [shard.span() for shard in _SHARD.finditer(text)]
    end = -1
    for number in _NUMBER.finditer(text):
        start, stop = number.span(3)
        limit, by = _limit(number[1].lower(), number[2], number[3]), len(found)
        if limit is not None and len(number[3].partition(".")[0]) > _INDEX_DIGITS:
            limit = _SURE
        elif not number[1] and found and start - len(number[2]) == found[-1].end == end:
            limit, by = found[-1].limit, found[-1].by
        end = stop
        if limit is not None and not any(begin <= start < over for begin, over in shards):
            found.append(_Count(start=start, end=stop, value=float(number[3]), limit=limit, by=by))
    return found


def _limit(word: str, gap: str, number: str) -> float | None:
    """Return up to which size a number behind `word` may tell a result from another; None where it always does."""
    if word in _OTHERS or (word in _PARTS and "." in number):  # "ema_0.9999": how it is averaged
        return None
    if word in _STEPS or word in _WHEN or word in _MEASURES or (word and "=" in gap):
        return _SURE
    if word and not gap and (len(number) < _STEP_DIGITS or word not in _ALL | _PARTS):
        return None  # "resnet50", but not "model000100"
    return _INDEX if not word or word in _ALL or word in _PARTS else _NEVER

"""Does it fit? A typed estimate, or what a commit gives away, held against GPUs and what they cost.

The commit is read, never run: its task file, its config.json and its scripts as text. What the line says counts more
than what the commit says, and what neither says is assumed and told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from bot import clues
from bot.clues import Clue, Clues
from bot.parts import Caller, Parts
from bot.verbs import Estimate
from jobs.errors import BadRequest, NotAllowed
from jobs.gpus import MEMORY_GB, Gpu, parse_gpu
from jobs.offers import PriceRow
from jobs.taskfile import TaskFile, parse_task_file
from jobs.values import Source
from trainer import memory, remedies
from trainer.architectures import Architecture, UnknownShape, gpt2, named
from trainer.memory import GIB, Method, Optimizer, Precision, Recipe
from trainer.remedies import Remedy

ASSUMED_TOKENS: Final = 2048
_ASKED: Final = ("batch", "seq", "precision", "optim")
# GiB that PyTorch reports as a GPU's capacity, the lowest that its makers' boards are seen with.
_REPORTED: Final[Mapping[tuple[str, int], float]] = MappingProxyType(
    {
        ("t4", 16): 14.6,
        ("a10", 24): 22.0,
        ("a10g", 24): 22.0,
        ("l4", 24): 22.0,
        ("rtx3090", 24): 23.6,
        ("rtx4090", 24): 23.6,
        ("l40s", 48): 44.3,
        ("a100", 40): 39.4,
        ("a100", 80): 79.1,
        ("h100", 80): 79.1,
        ("h200", 141): 139.7,
    }
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A machine on which it fits."""

    row: PriceRow
    needed: int  # bytes on each GPU
    room: int  # bytes of each GPU
    sharded: bool  # only with FSDP over all of its GPUs


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is answered."""

    shape: Architecture
    recipe: Recipe
    estimate: memory.Estimate
    gpu: Gpu | None  # with its memory; None where none was named
    room: int  # bytes of one of them; 0 without a GPU
    largest_batch: int  # that fits there; 0 where none does
    ladder: Sequence[Remedy]  # what would make it fit there; empty where it does
    sharded: Remedy | None
    places: Sequence[Place]  # cheapest first
    source: Source | None  # the commit that was read
    found: Sequence[Clue]
    assumed: Sequence[str]  # sentences
    unsaid: Sequence[str]  # keys of `estimate` that nothing said

    @property
    def fits(self) -> bool:
        """Whether it fits on the GPU that was named."""
        return self.gpu is not None and self.estimate.total <= self.room


def judged(parts: Parts, asked: Estimate, caller: Caller) -> Verdict:
    """Return the verdict; asks the git host where a commit was named, and the providers. Raises `jobs.errors`."""
    source, task, told = _read(parts, asked, caller) if asked.repo else (None, TaskFile(), Clues(shape=None))
    settings = {**told.recipe, **asked.settings}
    shape, assumed = _shape(asked, settings, told)
    wanted = parse_gpu(asked.gpu) if asked.gpu else task.gpu
    gpu = None if wanted is None or not wanted.count else replace(wanted, memory_gb=_memory(wanted))
    recipe = _recipe(shape, settings, gpu)
    needs = memory.estimate(shape, recipe)
    room = room_of(gpu.name, gpu.memory_gb) if gpu and gpu.memory_gb else 0
    short = gpu is not None and needs.total > room
    return Verdict(
        shape=shape,
        recipe=recipe,
        estimate=needs,
        gpu=gpu,
        room=room,
        largest_batch=remedies.largest_batch(shape, recipe, room) if gpu else 0,
        ladder=remedies.ladder(shape, recipe, room) if short else (),
        sharded=remedies.sharded(shape, recipe, room) if short else None,
        places=places(shape, recipe, parts.desk.compare()),
        source=source,
        found=told.found,
        assumed=assumed,
        unsaid=[key for key in _ASKED if key not in settings and not (key == "seq" and shape.patch)],
    )


def room_of(name: str, memory_gb: int) -> int:
    """Return the bytes that a program has on that GPU, its own context included."""
    return round(_REPORTED.get((name, memory_gb), memory_gb * 0.9) * GIB)


def places(shape: Architecture, recipe: Recipe, rows: Sequence[PriceRow]) -> Sequence[Place]:
    """Return where it fits, cheapest first; `rows` come cheapest first.

    Of each kind of GPU the cheapest machine, and the cheapest that can be rented here where that is another. On as
    many GPUs as it was asked for; with FSDP over all of a machine's where that alone makes it fit.
    """
    found: dict[tuple[str, int, bool], Place] = {}
    needed = memory.estimate(shape, recipe).total
    for row in rows:
        offer = row.offer
        here, anywhere = ((offer.gpu, offer.memory_gb, configured) for configured in (True, False))
        kind = here if row.configured else anywhere
        if offer.gpus < recipe.gpus or here in found or kind in found:
            continue
        room = room_of(offer.gpu, offer.memory_gb)
        if needed <= room:
            found[kind] = Place(row=row, needed=needed, room=room, sharded=recipe.sharded)
        elif offer.gpus > 1:
            spread = memory.estimate(shape, replace(recipe, gpus=offer.gpus, sharded=True)).total
            if spread <= room:
                found[kind] = Place(row=row, needed=spread, room=room, sharded=True)
    return list(found.values())


def _read(parts: Parts, asked: Estimate, caller: Caller) -> tuple[Source, TaskFile, Clues]:
    """Return the commit, its task file, and what it gives away; only for those who could rent with it."""
    refusal = parts.people.standing(caller.person)
    if refusal:
        raise NotAllowed(refusal)
    source = parts.commits.resolve(asked.repo, asked.ref)
    task = parse_task_file(source.task_file) if source.task_file else TaskFile()
    try:
        return source, task, clues.gathered(task, parts.commits.read(source, clues.wanted(task)))
    except UnknownShape as error:
        if asked.model is None:
            raise BadRequest(str(error), fix=_line(asked)) from error
        return source, task, Clues(shape=None)


def _shape(asked: Estimate, settings: Mapping[str, str], told: Clues) -> tuple[Architecture, Sequence[str]]:
    """Return the shape that the line names, changes or leaves to the commit; raises `BadRequest`."""
    sizes = {key: int(asked.settings[key]) for key in ("layers", "width", "heads", "vocab") if key in asked.settings}
    base = named(asked.model) if asked.model else told.shape
    if not sizes and base is not None:
        return base, () if asked.model else told.assumed
    if base is None and not {"layers", "width"} <= set(sizes):
        raise BadRequest(
            f"Nothing in `{asked.repo}@{asked.ref}` says how large its model is: neither a `config.json`, nor options "
            "like `--n_layer` and `--n_embd`, nor such defaults in its script. Name a model, or its sizes.",
            fix=_line(asked),
        )
    width = sizes.get("width", base.width if base else 0)
    heads = sizes.get("heads", base.heads if base and width == base.width else max(1, width // 64))
    if width % heads:
        raise BadRequest(f"{width} features cannot be shared by {heads} heads. Write another `heads=`.")
    if base is None:
        vocab = sizes.get("vocab", 50257)
        tokens = int(settings.get("seq", 1024))
        shape = gpt2(
            f"{sizes['layers']}×{width}", layers=sizes["layers"], width=width, heads=heads, vocab=vocab, context=tokens
        )
        return shape, ("The layers are taken to be like GPT-2's, the feed-forward half 4 times wide.",)
    changed = replace(
        base,
        layers=sizes.get("layers", base.layers),
        width=width,
        heads=heads,
        kv_heads=min(base.kv_heads, heads) if width == base.width else heads,
        head_width=width // heads,
        ffn=base.ffn * width // base.width,
        vocab=sizes.get("vocab", base.vocab),
    )
    return changed, told.assumed


def _line(asked: Estimate) -> str:
    """Return the line to type where a commit does not say enough."""
    gpu = f" gpu={asked.gpu}" if asked.gpu else ""
    said = "".join(f" {key}={value}" for key, value in asked.settings.items())
    return f"/train estimate {asked.repo}@{asked.ref} 7b{gpu}{said}"


def _memory(gpu: Gpu) -> int:
    """Return what one of them has; the smallest that is sold where nobody said."""
    return gpu.memory_gb or MEMORY_GB[gpu.name][0]


def _recipe(shape: Architecture, settings: Mapping[str, str], gpu: Gpu | None) -> Recipe:
    method = Method(settings.get("method", Method.FULL))
    usual = Precision.AMP if method is Method.FULL else Precision.BF16
    gpus = gpu.count if gpu else 1
    return Recipe(
        method=method,
        precision=Precision(settings.get("precision", usual)),
        optimizer=Optimizer(settings.get("optim", Optimizer.ADAMW)),
        micro_batch=int(settings.get("batch", 1)),
        sequence=int(settings.get("seq", min(shape.context, ASSUMED_TOKENS))),
        checkpointing=settings.get("checkpointing") == "yes",
        flash=settings.get("flash", "yes") == "yes",
        rank=int(settings.get("rank", 16)),
        gpus=gpus,
        sharded=gpus > 1 and settings.get("fsdp") == "yes",
    )

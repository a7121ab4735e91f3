"""The answer to `estimate`: whether it fits, of what the memory is made, what helps, and where it fits for how much."""

from __future__ import annotations

from collections.abc import Sequence

from bot.catalogue import Catalogue, later
from bot.estimate import Place, Verdict
from bot.markup import Markup, code, dollars, escape, pre
from bot.views.blocks import Block, Message, context, section
from trainer.memory import GIB, Method, Optimizer, Precision, Recipe
from trainer.remedies import Change, Remedy

MOST_CLUES = 12
_METHODS = {
    Method.FULL: later("all weights trained"),
    Method.LORA: later("LoRA"),
    Method.QLORA: later("QLoRA"),
}
_PRECISIONS = {
    Precision.FP32: later("fp32"),
    Precision.AMP: later("fp32 weights with bf16 autocast"),
    Precision.BF16: later("bf16 weights"),
    Precision.MASTER: later("bf16 weights with an fp32 copy"),
}
_OPTIMIZERS = {
    Optimizer.ADAMW: "AdamW",
    Optimizer.FUSED: later("fused AdamW"),
    Optimizer.ADAMW_8BIT: later("8-bit AdamW"),
    Optimizer.SGD: "SGD",
    Optimizer.MOMENTUM: later("SGD with momentum"),
}
_PARTS = {
    "weights": later("weights"),
    "master copy": later("fp32 copy of the weights"),
    "optimizer": later("optimizer"),
    "gradients": later("gradients"),
    "activations": later("activations"),
    "loss": later("loss over the vocabulary"),
    "temporary": later("while an operation works"),
    "CUDA": later("CUDA itself (assumed)"),
    "slack": later("between the blocks (assumed)"),
}
_CHANGES = {
    Change.FLASH: later("attention that never holds its scores"),
    Change.MICRO_BATCH: later("micro-batch {batch}, and as much more accumulation"),
    Change.FUSED: later("the fused AdamW, `fused=True`"),
    Change.PRECISION: later("bf16"),
    Change.CHECKPOINTING: later("activation checkpointing"),
    Change.OPTIMIZER: later("an 8-bit AdamW"),
    Change.LORA: later("LoRA of rank {rank} instead of all weights"),
    Change.QLORA: later("QLoRA: the frozen weights in 4 bits"),
    Change.SHARDS: later("FSDP over {gpus} of them"),
}


def fits(say: Catalogue, verdict: Verdict) -> Message:
    """Return the verdict for people."""
    head, recipe = _head(say, verdict), _recipe(say, verdict)
    blocks: list[Block] = [section(Markup(f"{head}\n{recipe}")), section(pre(_table(say, verdict)))]
    told = [head, recipe]
    for text in (_help(say, verdict), _places(say, verdict.places)):
        if text:
            told.append(text)
            blocks.append(section(text))
    small = [*_read(say, verdict), *_assumed(say, verdict)]
    small.append(
        say("An estimate for eager PyTorch without dropout; `torch.compile` needs less. Prices are as of their date.")
    )
    return Message(text=Markup("\n".join([*told, *small])), blocks=[*blocks, context(*small)])


def _head(say: Catalogue, verdict: Verdict) -> Markup:
    model, needed = code(verdict.shape.name), gib(verdict.estimate.total)
    if verdict.gpu is None:
        return say("{model} needs *{needed}* of a GPU.", model=model, needed=needed)
    gpu = f"{verdict.gpu.count} × {verdict.gpu.name.upper()} {verdict.gpu.memory_gb} GB"
    left = verdict.room - verdict.estimate.total
    facts = {"model": model, "gpu": gpu, "needed": needed, "room": gib(verdict.room), "left": gib(abs(left))}
    if verdict.fits:
        return say("✅  {model} *fits* on {gpu}: it needs {needed} of a GPU that has {room}, {left} to spare.", **facts)
    return say(
        "❌  {model} *does not fit* on {gpu}: it needs {needed} of a GPU that has {room}, {left} too much.", **facts
    )


def _recipe(say: Catalogue, verdict: Verdict) -> Markup:
    recipe, shape = verdict.recipe, verdict.shape
    words = [say(_METHODS[recipe.method]), say(_PRECISIONS[recipe.precision]), say(_OPTIMIZERS[recipe.optimizer])]
    if shape.patch:
        words.append(say.plural("micro-batch {n} image", "micro-batch {n} images", recipe.micro_batch))
    else:
        words.append(say("micro-batch {n} × {tokens} tokens", n=recipe.micro_batch, tokens=f"{recipe.sequence:,}"))
    words += [say("activation checkpointing")] if recipe.checkpointing else []
    words += [] if recipe.flash else [say("attention that holds its scores")]
    words += [say("FSDP over {gpus} GPUs", gpus=recipe.gpus)] if recipe.sharded else []
    trained = say(
        "{all} parameters, {trained} trained", all=_count(shape.parameters), trained=_count(verdict.estimate.trainable)
    )
    return Markup("  ·  ".join([*words, trained]))


def _table(say: Catalogue, verdict: Verdict) -> str:
    rows = [(say.plain(_PARTS[name]), size) for name, size in verdict.estimate.parts.items() if size]
    rows.append((say.plain("at the highest moment"), verdict.estimate.total))
    return "\n".join(f"{name:<30}{gib(size):>11}" for name, size in rows)


def _help(say: Catalogue, verdict: Verdict) -> Markup | None:
    """Say what to change where it does not fit, and how far one can go where it does."""
    if verdict.gpu is None:
        return None
    if verdict.fits:
        if verdict.largest_batch > verdict.recipe.micro_batch:
            return say("A micro-batch of {n} fits, too.", n=verdict.largest_batch)
        return None
    lines = [Markup(f"• {_change(say, one)}: {gib(one.estimate.total)}") for one in verdict.ladder]
    if lines and verdict.ladder[-1].estimate.total <= verdict.room:
        lines[-1] = say("{line}, which fits", line=lines[-1])
        lines.insert(0, say("*What helps, one after another*"))
    else:
        lines = [say("*Not even all of this together makes it fit there*"), *lines]
    if verdict.sharded:
        way, size = _change(say, verdict.sharded), gib(verdict.sharded.estimate.total)
        lines.append(say("Or, with nothing else changed, {way}: {size} on each.", way=way, size=size))
    return Markup("\n".join(lines))


def _change(say: Catalogue, remedy: Remedy) -> Markup:
    recipe: Recipe = remedy.recipe
    return say(_CHANGES[remedy.change], batch=recipe.micro_batch, rank=recipe.rank, gpus=recipe.gpus)


def _places(say: Catalogue, found: Sequence[Place]) -> Markup:
    if not found:
        return say("As it is, it fits on no machine that has a price.")
    head = say("*Where it fits as it is, by the price of the whole machine for an hour*")
    lines = []
    for place in found:
        offer = place.row.offer
        ready = "✓" if place.row.configured else " "
        gpu = f"{offer.gpus} × {offer.gpu} {offer.memory_gb}G"
        words = [offer.provider, f"{offer.priced_at:%d %b}", *(["spot"] if offer.spot else [])]
        words += ["FSDP"] if place.sharded else []
        line = f"{ready} {gpu:<15}{gib(place.needed):>10}{dollars(offer.micros_per_hour):>9}  {' '.join(words)}"
        lines.append(line)
    small = say("✓ can be rented here now.")
    return Markup(f"{head}\n{pre(chr(10).join(lines))}\n{small}")


def _read(say: Catalogue, verdict: Verdict) -> list[Markup]:
    if verdict.source is None:
        return []
    commit = code(f"{verdict.source.repo}@{verdict.source.sha[:7]}")
    if not verdict.found:
        return [say("Nothing that was understood was read at {commit}.", commit=commit)]
    taken = [
        say("{what} ({place})", what=code(f"{one.spelling} {one.value}"), place=code(one.place))
        for one in verdict.found[:MOST_CLUES]
    ]
    return [
        say("Read at {commit}, and taken for what it looks like: {what}.", commit=commit, what=Markup(", ".join(taken)))
    ]


def _assumed(say: Catalogue, verdict: Verdict) -> list[Markup]:
    lines = [escape(say.retold(sentence)) for sentence in verdict.assumed]
    if verdict.unsaid:
        keys = Markup(", ".join(code(f"{key}=") for key in verdict.unsaid))
        lines.append(say("Nobody said {keys}: what stands above is assumed.", keys=keys))
    return lines


def gib(size: int) -> str:
    """Return bytes as GiB with one decimal."""
    return f"{size / GIB:,.1f} GiB"


def _count(parameters: int) -> str:
    """Return a number of parameters as people say it."""
    for unit, size in (("B", 10**9), ("M", 10**6)):
        if parameters >= size:
            return f"{parameters / size:.3g} {unit}"
    return f"{parameters:,}"

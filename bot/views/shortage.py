"""What to do about a GPU that was too small: this job's own figures, the cheapest change first, a larger machine."""

from __future__ import annotations

from collections.abc import Sequence

from bot.catalogue import Catalogue, later
from bot.facts import JobFacts
from bot.markup import Markup, code, dollars, size
from bot.views.blocks import Block, actions, button, section
from jobs.roomier import Larger
from jobs.shortage import Shortage, Step

# PyTorch renamed the variable in 2.9 and reads the old name still; older images know only that.
_SEGMENTS = "env.PYTORCH_ALLOC_CONF=expandable_segments:True env.PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
_STEPS = {
    Step.MICRO_BATCH: later("half the micro-batch with twice the accumulation (the training stays the same)"),
    Step.BF16: later("bf16"),
    Step.CHECKPOINTING: later("activation checkpointing"),
    Step.OPTIMIZER: later("an 8-bit optimizer"),
    Step.LORA: later("LoRA"),
    Step.SHARDING: later("FSDP over its {n} GPUs"),
}


def advice(
    say: Catalogue, facts: JobFacts, shortage: Shortage, steps: Sequence[Step], larger: Larger | None
) -> list[Block]:
    """Return what was missing, what to change, and a button for a larger GPU where there is one."""
    lines = [line for line in (_missing(say, shortage), *_change(say, facts, shortage, steps)) if line]
    blocks = [section(Markup("\n".join(lines)))] if lines else []
    return blocks + run_on(say, facts, larger)


def none_free(say: Catalogue, facts: JobFacts, other: Larger | None) -> list[Block]:
    """Return what else there is for a job whose machine was not to be had, with a button."""
    if other is None:
        return []
    line = say(
        "{machine} is offered at {provider}, {where}. Whether one is free is seen when it is asked for.",
        machine=_named(other),
        provider=other.offer.provider,
        where=other.offer.zone or other.offer.region,
    )
    return [section(line), *run_on(say, facts, other)]


def run_on(say: Catalogue, facts: JobFacts, larger: Larger | None) -> list[Block]:
    """Return the button that asks for the same job on another machine."""
    if larger is None:
        return []
    label = say.plain(
        "Run on {gpu} ({price}/h)", gpu=_named(larger), price=dollars(larger.offer.micros_per_hour, up=True)
    )
    asks = f"{facts.job.id} {larger.gpu} {larger.spot}"
    return actions(f"larger-{facts.job.id}", [button(Markup(label), "larger", asks, style="primary")])


def _missing(say: Catalogue, shortage: Shortage) -> Markup | None:
    if shortage.asked is None or shortage.free is None or shortage.total is None:
        return None
    asked, free, total = (size(part) for part in (shortage.asked, shortage.free, shortage.total))
    return say("It asked for {asked} more; {free} of {total} were free.", asked=asked, free=free, total=total)


def _change(say: Catalogue, facts: JobFacts, shortage: Shortage, steps: Sequence[Step]) -> list[Markup]:
    found = []
    if Step.SEGMENTS in steps:
        line = code(f"/train rerun {facts.job.id} {_SEGMENTS}")
        unused = size(shortage.unused or 0)
        found.append(say("{unused} of it lay unused, in pieces. Try this first: {line}", unused=unused, line=line))
    gpus = facts.spec.gpus if facts.spec else 1
    rungs = [str(say(_STEPS[step], n=gpus)) for step in steps if step in _STEPS]
    if rungs:
        found.append(say("What helps, the cheapest first: {rungs}.", rungs=Markup(", ".join(rungs))))
    return found


def _named(larger: Larger) -> str:
    gpu = larger.gpu
    return f"{gpu.count} × {gpu.name.upper()} {larger.offer.memory_gb} GB" + (" spot" if larger.offer.spot else "")

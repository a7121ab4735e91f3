"""How it is used, in short and by topic: every verb and every key has a sentence."""

from __future__ import annotations

from bot.catalogue import Catalogue, later
from bot.markup import Markup, code, pre
from bot.views.blocks import Message, context, divider, section

EXAMPLE = "/train acme/vit@main gpu=a100 hours=4"

VERBS = {
    "gpus": later("`/train gpus [name] [spot]`: what can be rented, and for how much."),
    "estimate": later("`/train estimate 7b lora gpu=a10g`, `/train estimate owner/repo@ref`: will it fit, and where?"),
    "list": later("`/train list [all]`: your newest jobs, or the whole team's."),
    "status": later("`/train status JOB`: the card, for your eyes only."),
    "stop": later("`/train stop JOB`: saves a last checkpoint, then ends the machine."),
    "extend": later("`/train extend JOB 1h`: moves the deadline, if the budget allows."),
    "logs": later(
        "`/train logs JOB [node=2] [word]`: the newest output, of the second machine, the lines with that word, and a "
        'link to all of it; `logs JOB follow` in the thread, `logs JOB "follow"` looks for that word.'
    ),
    "progress": later("`/train progress JOB`: how its lines are read, and a form to say what they mean."),
    "checkpoints": later("`/train checkpoints JOB`: links to the files."),
    "rerun": later("`/train rerun JOB [resume] [key=value …]`: the same again, changed; or from its last checkpoint."),
}
KEYS = {
    "gpu": later("`gpu=a100-80gb:2`: which GPU, with how much memory, how many. `/train gpus` shows what there is."),
    "hours": later("`hours=4`, `hours=90m`, `hours=0.5`: the machine ends then, whatever happens."),
    "spot": later("`spot=auto`: cheaper machines that the provider may take back; `spot=no` wants none of them."),
    "provider": later("`provider=docker,aws`: where it may run; left out, wherever it is cheapest."),
    "image": later("`image=…`: the container it runs in, pinned to its digest."),
    "max_cost": later("`max_cost=12`: dollars for the whole job; it ends earlier rather than cost more."),
    "max_price": later("`max_price=2.5`: dollars an hour that a machine may cost at the most."),
    "nodes": later("`nodes=2`: so many machines, each paid for; a plain `torchrun train.py` joins them."),
    "notify": later("`notify=@teammate`: who else is told of trouble and of the end, and may stop it."),
    "env": later("`env.LR=3e-4`: a variable for the command."),
    "reason": later("`reason=\"…\"`: what a lead reads who has to decide."),
}  # fmt: skip
# What is to be said of a verb besides: where that verb alone is asked about.
_MORE = {
    "checkpoints": later(
        "They come from the folder that the task file names, in `path` of `checkpoints`, or from `out`. What is saved "
        "together is one, and of each name (`last.pt`, `best.pt`, `step_….pt`) the newest three are kept, or as many "
        "as `keep` says. Folders of "
        "Transformers, diffusers, Lightning, DeepSpeed and the like are known, and `.pt`, `.ckpt`, `.safetensors`, "
        "`.h5`, `.npz`, `.pkl`, `.joblib` and others; `hourglass.save(path)` in the script takes any."
    ),
    "estimate": later(
        "Words: `full`, `lora`, `qlora`, `checkpointing`, `no-flash`, `fsdp`. Keys: `gpu=`, `batch=` (of one GPU), "
        "`seq=`, `precision=fp32|amp|bf16|master`, `optim=adamw|adamw-fused|adamw-8bit|sgd|sgd-momentum`, `rank=`, and "
        "for a model without a name `layers=`, `width=`, `heads=`, `vocab=`. Of a commit its task file, its "
        "`config.json` and its script's options and defaults are read; the line counts more."
    ),
}
_OTHERS = {
    "train": later("`/train owner/repo@ref gpu=… hours=… [-- command]`: rents a machine and runs that commit on it."),
    "budget": later("`/budget`: what is left this month. Leads change it: `/budget cap 300`, `/budget help`."),
    "help": later("`/train help [verb or key]`: this."),
    "inputs": later(
        "`inputs:` in `.hourglass.yml`: data that is fetched and checked before the command starts, from `s3://…` or "
        "as `hourglass data push DIR` prints it; it is found at `$HOURGLASS_INPUT_NAME`."
    ),
}

_BUDGET = (
    later("`/budget`: the month: capped, held, spent and free, by person and by job."),
    later("`/budget cap 300`: dollars that may be spent in a month."),
    later("`/budget auto-approve 20`: dollars under which a job starts without a lead."),
    later("`/budget longest 24h`: the longest rental."),
    later("`/budget share 50`: percent of the month that one person may use without a lead."),
    later("`/budget leads @ada @lea`: who approves, and who may change all this."),
    later("`/budget zone Europe/Berlin`: where the month begins."),
    later("`/budget freeze`, `/budget unfreeze`: no new rentals; machines that run go on to their deadlines."),
)


def budget(say: Catalogue) -> Message:
    """Return every line that `/budget` takes."""
    intro = say("*What the team may spend.* Anybody may look; leads change it.")
    lines = Markup("\n".join(say(line) for line in _BUDGET))
    return Message(text=Markup(f"{intro}\n{lines}"), blocks=[section(intro), section(lines)])


def manual(say: Catalogue, topic: str | None) -> Message:
    """Return the sentence about a verb or key, or everything in short where none is named."""
    about = {**VERBS, **KEYS, **_OTHERS}
    if topic in about:
        told = say(about[topic])
        words = [say(_MORE[topic])] if topic in _MORE else []
        return Message(text=Markup("\n".join([told, *words])), blocks=[section(told), *(context(one) for one in words)])
    intro = say("*Rent a GPU by the hour and run a commit on it.* The machine ends at its deadline, whatever happens.")
    keys = say(
        "Keys: {keys}", keys=Markup("  ".join(code(f"{key}=") if key != "env" else code("env.NAME=") for key in KEYS))
    )
    command = say("After ` -- ` follows the command, if the task file has none.")
    stays = say("What stays the same stands in `.hourglass.yml` in the repository; the command line overrides it.")
    more = say(
        "About one of them: {example}. In a job's thread, mention me: {mention}.",
        example=code("/train help spot"),
        mention=code("@hourglass stop"),
    )
    verbs = Markup("\n".join(say(text) for text in VERBS.values()))
    blocks = [
        section(intro),
        section(pre(EXAMPLE)),
        section(Markup(f"{keys}\n{command}")),
        context(stays),
        divider(),
        section(verbs),
        context(more),
    ]
    text = Markup("\n".join([intro, code(EXAMPLE), keys, command, stays, verbs, more]))
    return Message(text=text, blocks=blocks)

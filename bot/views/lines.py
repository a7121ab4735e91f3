"""How a job's lines are read, and the form in which a team says what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.catalogue import Catalogue
from bot.facts import JobFacts
from bot.markup import Markup, code, number, pre, short
from bot.views import words
from bot.views.blocks import Block, Message, actions, button, context, entry, modal, section
from bot.views.card import title

EXAMPLE = "ep {epoch}/{epochs} loss {loss}"
_WIDEST = 200  # characters of a line that is shown
_LONGEST = 3000  # characters that Slack lets a form hold
_VALUES = 4  # of a line, that an answer names


def form(say: Catalogue, facts: JobFacts, written: Sequence[str], newest: Sequence[str]) -> Block:
    """Return the form for what a job's lines look like: what is `written` so far, below its `newest` lines."""
    box: Block = {"type": "plain_text_input", "action_id": "lines", "multiline": True, "max_length": _LONGEST}
    if written:
        box["initial_value"] = "\n".join(written)[:_LONGEST]
    shown = [section(say("It prints:")), section(pre("\n".join(short(line, _WIDEST) for line in newest)))]
    hint = say.plain(
        "As they are printed, with braces where the numbers stand: `{example}`. `{{}}` stands for whatever is there. "
        "`{{step}}`, `{{epoch}}` and `{{batch}}` say where the run stands; any other name is a curve.",
        example=EXAMPLE,
    )
    return modal(
        callback="describe",
        title=say("How to read it"),
        submit=say("Read it so"),
        close=say("Cancel"),
        about=facts.job.id,
        blocks=[
            section(title(say, facts)),
            *(shown if newest else []),
            entry("lines", say("Its lines, one below another"), box, optional=True, hint=hint),
        ],
    )


def described(
    say: Catalogue,
    facts: JobFacts,
    progress: Sequence[str],
    newest: int,
    fit: int,
    last: tuple[int | None, Mapping[str, float]],
) -> Message:
    """Return that lines are read so from now on; `fit` of the `newest` ones do, and `last` is what one says."""
    if not progress:
        told = say("The lines of {job} are read by what is known of trainers again.", job=words.name(facts))
        return Message(text=told, blocks=[section(told)])
    told = say("{job} is read so from its first line on.", job=words.name(facts))
    if fit:
        tried = say(
            "Of its newest {newest} lines {fit} fit; the last of them says {said}.",
            newest=newest,
            fit=fit,
            said=_said(say, *last),
        )
    else:
        tried = (
            say("Of its newest {newest} lines none fits yet.", newest=newest)
            if newest
            else say("It printed nothing yet.")
        )
    keeps = say(
        "To keep it for later runs, put it under {progress} in {file}.",
        progress=code("progress:"),
        file=code(".hourglass.yml"),
    )
    listed = section(pre("\n".join(progress)))
    return Message(text=Markup(f"{told} {tried}"), blocks=[section(told), listed, section(tried), context(keeps)])


def shown(say: Catalogue, facts: JobFacts) -> Message:
    """Return how a job's lines are read, with the button that changes it while it runs."""
    progress = facts.spec.progress if facts.spec else ()
    told = (
        say("*How {job} is read*: lines like these say where it stands, and what it measures.", job=words.name(facts))
        if progress
        else say(
            "*How {job} is read*: by what is known of trainers, of its code and of its files.", job=words.name(facts)
        )
    )
    blocks: list[Block] = [section(told)]
    if progress:
        blocks.append(section(pre("\n".join(progress))))
    return Message(text=told, blocks=[*blocks, *change(say, facts)])


def change(say: Catalogue, facts: JobFacts, suggested: str = "") -> list[Block]:
    """Return the button that opens the form; nothing once the job has ended."""
    if facts.ended or facts.job.stop_reason is not None:
        return []
    label = say("Read it so…") if suggested else say("Describe its lines…")
    return actions(f"describe-{facts.job.id}", [button(label, "describe", f"{facts.job.id} {suggested}".strip())])


def _said(say: Catalogue, step: int | None, values: Mapping[str, float]) -> Markup:
    parts = [say("step {step}", step=number(step))] if step is not None else []
    parts += [Markup(f"{code(name)} {value:.4g}") for name, value in list(values.items())[:_VALUES]]
    return Markup(", ".join(parts)) if parts else say("nothing that is measured")

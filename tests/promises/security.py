"""Security in figures: forged deliveries that came in, strings that did something, secrets that were seen."""

from __future__ import annotations

import logging
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.face.stage import Stage
from tests.promises.figure import Promise, Scale
from tests.security.corpus import STRINGS, armed
from tests.security.forgery import WAYS, doorstep
from tests.security.places import places, tried
from tests.security.planting import search


def measure(scale: Scale) -> Sequence[Promise]:
    """Knock in every way, write every string everywhere, plant fifty secrets; a small run writes every tenth string."""
    with tempfile.TemporaryDirectory(prefix="hourglass-security-") as folder:
        root = Path(folder)
        for name in ("forged", "injected", "planted"):
            (root / name).mkdir()
        return [
            _forged(root / "forged", scale),
            _injected(root / "injected", scale),
            _planted(root / "planted", scale),
        ]


def _forged(folder: Path, scale: Scale) -> Promise:
    accepted, tries, fooled = [], 0, 0
    stage = Stage(folder)
    logging.disable(logging.CRITICAL)  # a forged delivery that Bolt cannot read is loud, and hundreds are sent
    try:
        with doorstep(stage) as step:
            for _ in range(scale.of(20, 1)):
                accepted += [way.name for way in WAYS if step.takes(way)]
                tries += len(WAYS)
            genuine = step.genuine()
        for kind in sorted({kind for way in WAYS for kind in way.fooled}, key=lambda kind: kind.__name__):
            with doorstep(stage, kind) as step:
                fooled += sum(step.takes(way) for way in WAYS if kind in way.fooled)
    finally:
        logging.disable(logging.NOTSET)
        stage.close()
    wanted = sum(len(way.fooled) for way in WAYS)
    return Promise(
        name="forged requests accepted",
        goal="0",
        measured=str(len(accepted)),
        held=not accepted and genuine and fooled == wanted,
        counts={"ways": len(WAYS), "deliveries": tries, "accepted by broken doors": fooled, "of": wanted},
        seed=scale.seed,
        note="; ".join(accepted[:5]),
    )


def _injected(folder: Path, scale: Scale) -> Promise:
    chance = random.Random(scale.seed)
    canary, wrong, tries, used = folder / "canary", [], 0, set()
    everywhere = list(places())
    for place in everywhere:
        strings = chance.sample(STRINGS, scale.of(len(STRINGS), len(STRINGS) // 10))
        for text in strings:
            wrong += tried(place, armed(text, str(canary)), folder)
        tries += len(strings)
        used |= set(strings)
    wrong += ["the canary sings"] if canary.exists() else []
    return Promise(
        name="injections through",
        goal="0 of ≥ 200",
        measured=f"{len(wrong)} of {len(used)}",
        held=not wrong and len(used) >= 200,
        counts={"strings": len(used), "places": len(everywhere), "tries": tries},
        seed=scale.seed,
        note="; ".join(wrong[:3]),
    )


def _planted(folder: Path, scale: Scale) -> Promise:
    found = search(folder, scale.seed)
    return Promise(
        name="secrets seen",
        goal="0 of 50",
        measured=f"{len({one.kind for one in found.seen})} of {found.planted}",
        held=not found.seen and found.planted >= 50,
        counts={"planted": found.planted, "log lines": found.lines, "messages": found.messages, "files": found.files},
        seed=scale.seed,
        note="; ".join(f"{one.kind} in {one.place}" for one in found.seen[:5]),
    )

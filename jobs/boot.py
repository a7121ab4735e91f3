"""An order becomes the script that a rented machine boots with, byte for byte the same each time.

Two texts, both pure. The **script** is the user data: a few lines of this machine's values over `warden.sh`. It
holds no secret, because whoever may describe the machine may read it; its one key opens the **bundle**, for as
long as the rental lasts. The bundle holds what the container finds in its environment and the links that the
warden uses, and the machine removes it from the store as soon as it has read it.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files

from jobs.errors import Rejected

SCRIPT_LIMIT = 16 * 1024  # bytes; what AWS takes as user data before its base64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Boot:
    """What one machine has to know before it can ask for anything."""

    name: str  # the launch key; also the container's name
    deadline: int  # unix seconds
    lifetime: int  # seconds; the most that the machine may live where its clock is wrong
    image: str
    mirror: str = ""  # the same image's name at a nearer registry, tried first; "" for none
    gpus: int  # 0: none are handed to the container, else all of the machine's
    shm_gb: int  # 0: the engine's default
    notice: str  # where the provider says that it takes the machine back (`trainer.notice.Source`)
    trainer_sha256: str
    bundle_url: str = field(repr=False)
    bundle_sha256: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What one machine fetches first; every URL is signed and good for one object and one verb."""

    env: Mapping[str, str] = field(repr=False)  # of the container
    trainer_url: str = field(repr=False)  # GET
    outcome_url: str = field(repr=False)  # PUT of the first event chunk, where the agent could not
    spoken_url: str = field(repr=False)  # HEAD of the same: has the agent said a word?
    discard_url: str = field(repr=False)  # DELETE of the bundle
    boot_urls: Sequence[str] = field(repr=False)  # PUT of the boot log's chunks, in order


def script(boot: Boot) -> str:
    """Return the user data; raises `Rejected` when it would not fit."""
    ends = datetime.fromtimestamp(boot.deadline, UTC)
    head = [
        "#!/bin/bash",
        f"# Hourglass machine {boot.name}: powers itself off at {ends:%Y-%m-%d %H:%M:%S} UTC.",
        _line("NAME", boot.name),
        _line("DEADLINE", str(boot.deadline)),
        _line("LIFETIME", str(boot.lifetime)),
        _line("IMAGE", boot.image),
        _line("MIRROR", boot.mirror),
        _line("GPUS", str(boot.gpus)),
        _line("SHM_GB", str(boot.shm_gb)),
        _line("NOTICE", boot.notice),
        _line("TRAINER_SHA256", boot.trainer_sha256),
        _line("BUNDLE_URL", boot.bundle_url),
        _line("BUNDLE_SHA256", boot.bundle_sha256),
    ]
    text = "\n".join(head) + "\n" + files("jobs").joinpath("warden.sh").read_text(encoding="utf-8")
    if len(text.encode()) > SCRIPT_LIMIT:
        raise Rejected(
            f"The boot script would have {len(text.encode())} bytes and a machine takes {SCRIPT_LIMIT}. "
            "Shorten the image's name or the store's prefix."
        )
    return text


def pack(bundle: Bundle) -> bytes:
    """Return the bundle as the warden reads it; raises `Rejected` on a name that no environment can hold."""
    for name, value in bundle.env.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise Rejected(f"{name!r} cannot be an environment variable: use letters, digits and underscores.")
    env = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(bundle.env.items()))
    lines = [
        _line("TRAINER_URL", bundle.trainer_url),
        _line("OUTCOME_URL", bundle.outcome_url),
        _line("SPOKEN_URL", bundle.spoken_url),
        _line("DISCARD_URL", bundle.discard_url),
        f"BOOT_URLS=({' '.join(shlex.quote(url) for url in bundle.boot_urls)})",
        # As one word: what a team puts into a variable is never seen by the machine's own shell.
        _line("ENV_BASE64", base64.b64encode(env.encode()).decode()),
    ]
    return ("\n".join(lines) + "\n").encode()


def _line(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value)}"

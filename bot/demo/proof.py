"""What the demo keeps: the thread, the plots, and the checkpoint as anybody would get it, through the posted links."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from bot.sandbox import Sandbox
from jobs.errors import Misconfigured, StoreError

Message = Mapping[str, Any]

_URL = re.compile(r"<(https?://[^|>]+/files/[^|>]+)(?:\|[^>]*)?>")

# Loaded in a child: the bot's own process never imports torch.
_LOAD = """
import json, sys, torch
state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
def count(value):
    if isinstance(value, torch.Tensor):
        return 1, value.numel()
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        parts = [count(part) for part in value]
        return sum(part[0] for part in parts), sum(part[1] for part in parts)
    return 0, 0
tensors, numbers = count(state)
print(json.dumps({"tensors": tensors, "numbers": numbers, "step": state.get("step")}))
"""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What `torch.load(weights_only=True)` found in the fetched checkpoint."""

    path: Path
    tensors: int
    numbers: int
    step: int | None


def links(messages: Sequence[Message]) -> list[str]:
    """Return the file links that the messages carry, in text or blocks, each once, in order."""
    found: dict[str, None] = {}
    for message in messages:
        for url in _URL.findall(json.dumps([message.get("text"), message.get("blocks")], ensure_ascii=False)):
            found[url.replace("&amp;", "&")] = None
    return list(found)


def keep_thread(sandbox: Sandbox, messages: Sequence[Message], out: Path) -> list[Path]:
    """Write `thread.json` and the plots beside it; return the plots' paths."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "thread.json").write_text(json.dumps(messages, indent=2, ensure_ascii=False) + "\n")
    plots: list[Path] = []
    for message in messages:
        for file in message.get("files", ()):
            path = out / f"plot-{len(plots) + 1}.png"
            path.write_bytes(sandbox.people.file_bytes(str(file["id"])))
            plots.append(path)
    return plots


def fetch(urls: Sequence[str], out: Path) -> list[Path]:
    """Download each link into `out`; raises `StoreError` when one does not answer with a file."""
    out.mkdir(parents=True, exist_ok=True)
    fetched = []
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        for url in urls:
            path = out / Path(unquote(urlsplit(url).path)).name
            with client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise StoreError(f"A posted link answered {answer.status_code}: {url.split('?')[0]}")
                with path.open("wb") as file:
                    for part in answer.iter_bytes():
                        file.write(part)
            fetched.append(path)
    return fetched


def load_checkpoint(files: Sequence[Path]) -> Loaded:
    """Load the first `.pt` among `files` as anybody would; raises `StoreError` when it does not load."""
    checkpoints = [path for path in files if path.suffix == ".pt"]
    if not checkpoints:
        raise StoreError("The thread links no checkpoint.")
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(checkpoints[0])], capture_output=True, text=True, check=False
    )
    if done.returncode:
        if "No module named 'torch'" in done.stderr:
            raise Misconfigured("torch is not installed; `make demo` installs it.")
        raise StoreError(f"{checkpoints[0].name} does not load: {done.stderr.strip().splitlines()[-1]}")
    facts = json.loads(done.stdout)
    return Loaded(path=checkpoints[0], tensors=facts["tensors"], numbers=facts["numbers"], step=facts["step"])

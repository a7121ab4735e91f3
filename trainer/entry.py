"""What `python3 trainer.pyz` does: alone it is the first process, with `agent` it is the agent.

`notice aws` runs on the host, for the warden: it waits for the provider's word that it takes the machine back.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

from trainer import wire
from trainer.init import EXIT_BAD_MACHINE, say
from trainer.init import main as run_init

VENDOR = "vendor/"  # what of the archive must lie in a folder: botocore cannot read its models out of a zip


def main(argv: list[str]) -> int:
    """Run the part that `argv` names; return the exit code."""
    words = argv[1:]
    if not words:
        return run_init(str(Path(argv[0]).absolute()))
    if words == ["agent"]:
        _unpack_vendor(Path(argv[0]), Path(os.environ[wire.ENV_WORKDIR]) / "vendor")
        from trainer.agent import main as run_agent  # after the unpacking: it may import what was unpacked

        return run_agent()
    if words[0] == "notice" and len(words) == 2:
        from trainer.notice import wait_and_print  # the warden's part alone

        return wait_and_print(words[1])
    say(f"{' '.join(words)!r} is not something this archive does; start it without words.")
    return EXIT_BAD_MACHINE


def _unpack_vendor(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if name.startswith(VENDOR)]
        if names:
            packed.extractall(folder, names)
            sys.path.insert(1, str(folder / VENDOR))

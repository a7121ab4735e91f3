"""One state folder is one home, whoever starts first: a reaper with another one would end nobody's machines."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bot.home import settled
from jobs.settings import load


def test_a_bot_and_a_reaper_that_start_together_have_one_home(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def start(folder: Path) -> str | None:
        settings = load({"HOURGLASS_STATE": str(folder)})
        together.wait(30)
        return settled(settings).home

    with ThreadPoolExecutor(4) as processes:
        for number in range(100):
            folder = tmp_path / str(number)
            homes = {future.result() for future in [processes.submit(start, folder) for _ in range(4)]}
            assert len(homes) == 1 and all(homes)
            assert [path.name for path in folder.iterdir()] == ["home"]

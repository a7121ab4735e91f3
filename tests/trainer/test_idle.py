"""A GPU that is paid for and does nothing: judged over a window, ended once, and never on a failed look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainer.rented import Rented
from trainer.idle import Idleness
from trainer.wire import EventKind, GpuNeed, IdleRule

RULE = IdleRule(least=10, window=60.0)


def told(looks: Sequence[tuple[float, Sequence[int] | None]]) -> str | None:
    """Return what is told by the last of these looks, each with its time."""
    judge = Idleness(RULE, began=0.0)
    said = [judge.seen(percents, at) for at, percents in looks]
    assert not any(said[:-1])
    return said[-1]


@pytest.mark.parametrize(
    ("looks", "gpu"),
    [
        ([(30, [0]), (60, [9])], "GPU 0"),
        ([(30, [90, 0]), (60, [90, 0])], "GPU 1"),
        ([(30, [10]), (60, [0]), (89, [0])], None),  # busy at 30: a whole window from there
        ([(30, [10]), (60, [0]), (90, [0])], "GPU 0"),
        ([(30, [0]), (50, None), (60, [0]), (109, [0])], None),  # a failed look counts as busy
        ([(30, [0]), (50, None), (60, [0]), (110, [0])], "GPU 0"),
        ([(30, None), (600, None)], None),
        ([(30, [0]), (60, [0, 0]), (119, [0, 0])], None),  # a GPU came: what is known begins anew
        ([(30, []), (90, [])], None),
    ],
)
def test_idle_is_under_the_least_for_a_whole_window(
    looks: Sequence[tuple[float, Sequence[int] | None]], gpu: str | None
) -> None:
    expected = gpu and f"{gpu} stayed under 10 % for 1 min."
    assert told(looks) == expected


def smi(folder: Path, busy: str) -> str:
    """Write a stand-in for a driver's own tool, on a machine that has none; return the PATH that finds it."""
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(
        f"#!/bin/sh\ncase $1 in *utilization*) {busy};; *) echo 'NVIDIA A100-SXM4-80GB, 81920, 550.54.15';; esac\n"
    )
    tool.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("busy", "reason"),
    [("echo 3", "idle_gpu"), ("echo 80", "finished"), ("echo '[N/A]'", "finished"), ("exit 9", "finished")],
)
def test_a_machine_whose_gpu_stands_idle_saves_and_ends(rented: Rented, tmp_path: Path, busy: str, reason: str) -> None:
    ready = tmp_path / "ready"  # until the script waits for its end the GPU is at work, however long a shell takes
    rented.order(
        {},
        # Long enough for the window where the end is waited for, just over it where none comes.
        commands=[
            "trap 'echo saved; exit 0' TERM",
            f"touch {ready}",
            f"sleep {30 if reason == 'idle_gpu' else 1} & wait $!",
        ],
        gpu=GpuNeed(name="a100", count=1, memory_gb=80, required=True),
        idle=IdleRule(least=10, window=0.6),
    )
    rented.run(PATH=smi(tmp_path / "tools", f"if [ -e {ready} ]; then {busy}; else echo 80; fi"))
    assert rented.outcome()["reason"] == reason
    notices = [event.data["code"] for event in rented.events(EventKind.NOTICE)]
    assert notices == (["idle_gpu"] if reason == "idle_gpu" else [])
    assert ("saved" in rented.log()) is (reason == "idle_gpu")

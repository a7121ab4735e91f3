"""Who is asked to save and stop, and who only afterwards; and that a save is not cut by the end of its helpers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.trainer.rented import Rented, until
from trainer import procs
from trainer.asking import Asking, heads, name
from trainer.command import Command
from trainer.output import Output, Redactor
from trainer.procs import Process
from trainer.wire import Reason

TERM = 1 << (signal.SIGTERM - 1)
LOADER = TERM | 1 << (signal.SIGBUS - 1) | 1 << (signal.SIGSEGV - 1) | 1 << (signal.SIGFPE - 1)
SPAWN = "python -c from~multiprocessing.spawn~import~spawn_main;~spawn_main(pipe_handle=7) --multiprocessing-fork"


def process(pid: int, parent: int, line: str, *, reads: str = "", writes: str = "", caught: int = 0) -> Process:
    """Return a process with its command line; tildes stand for spaces within a word."""
    words = [word.replace("~", " ") for word in line.split()]
    program = "python3.12" if words[0] == "python" else words[0]
    return Process(
        pid=pid,
        parent=parent,
        born=pid,
        program=program,
        words=words,
        reads=reads,
        writes=frozenset({writes} - {""}),
        caught=caught,
    )


@pytest.mark.parametrize(
    ("program", "words", "expected"),
    [
        ("bash", ["bash", "-c", "python train.py"], "bash"),
        ("zsh-5.9", ["-zsh"], "zsh"),
        ("busybox", ["/bin/sh", "-c", "x"], "sh"),
        ("busybox", ["busybox", "tee", "log"], "tee"),
        ("python3.13t", ["/usr/bin/python3", "-u", "/opt/bin/torchrun", "train.py"], "torchrun"),
        ("python3.12", ["python", "-X", "dev", "-m", "torch.distributed.run", "train.py"], "torch.distributed.run"),
        ("python3.12", ["python", "-c", "import x", "torchrun"], ""),
        ("python3.12", ["python"], ""),
        ("perl", ["/usr/bin/perl", "/usr/bin/parallel", "x"], "parallel"),
        ("tee", ["tee", "log"], "tee"),
        ("", ["-bash"], "bash"),
        ("", ["/opt/python3", "/opt/bin/torchrun"], "torchrun"),
        ("", [""], ""),
    ],
)
def test_a_process_is_called_by_its_program_script_or_module(program: str, words: list[str], expected: str) -> None:
    assert name(Process(pid=1, parent=0, born=1, program=program, words=words)) == expected


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ([process(1, 0, "python train.py"), process(2, 1, "python train.py", caught=LOADER)], [1]),
        ([process(1, 0, "bash -c x"), process(2, 1, "python train.py"), process(3, 2, "wandb-core")], [2]),
        (
            [
                process(1, 0, "bash -c x"),
                process(2, 1, "python train.py", writes="pipe:[7]"),
                process(3, 1, "tee log", reads="pipe:[7]"),
                process(4, 2, "python train.py", writes="pipe:[7]"),
            ],
            [2],
        ),
        (  # what says yes is asked first; the training when nothing comes any more
            [process(2, 1, "yes", writes="pipe:[7]"), process(3, 1, "python train.py", reads="pipe:[7]")],
            [2],
        ),
        (  # `exec > >(tee log)`: the shell prints there too, and alone would hold up nobody
            [process(1, 0, "bash run.sh", writes="pipe:[7]"), process(2, 1, "tee log", reads="pipe:[7]")],
            [2],
        ),
        (  # a program may talk to a part of itself
            [
                process(1, 0, "python train.py", reads="pipe:[7]", writes="pipe:[7]"),
                process(2, 1, "ffmpeg", writes="pipe:[7]"),
            ],
            [1],
        ),
        (
            [
                process(1, 0, "bash -c x"),
                process(2, 1, "timeout 3600 torchrun"),
                process(3, 2, "python /opt/bin/torchrun train.py"),
                process(4, 3, "python -u train.py"),
                process(5, 3, "python -u train.py"),
                process(6, 4, "python -u train.py", caught=LOADER),
            ],
            [4, 5],
        ),
        ([process(1, 0, "bash -c x"), process(2, 1, "python /opt/bin/torchrun train.py")], []),
        ([process(1, 0, "python train.py", caught=TERM), process(2, 1, SPAWN, caught=TERM)], [1, 2]),
        ([process(1, 0, "python train.py"), process(2, 1, SPAWN, caught=TERM)], [2]),  # its end would end its ranks
        ([process(1, 0, "python train.py"), process(2, 1, SPAWN)], [1]),
        ([process(1, 0, "python train.py"), process(2, 1, SPAWN, caught=TERM), process(3, 2, SPAWN, caught=TERM)], [2]),
        ([process(1, 0, "python train.py"), process(2, 1, SPAWN, caught=LOADER)], [1]),
        ([process(1, 2, "python train.py"), process(2, 1, "bash")], [1]),  # numbers that changed hands meanwhile
        ([], []),
    ],
)
def test_the_topmost_programs_are_asked(family: list[Process], expected: list[int]) -> None:
    assert [one.pid for one in heads(family)] == expected


class Stage:
    """Processes that live until a test ends them, and who was asked."""

    def __init__(self, *family: Process, patient: int = 0) -> None:
        self.family = list(family)
        self.asked: list[int] = []
        self.asking = Asking(
            family=lambda: self.family,
            alive=self.alive,
            ask=self.asked.append,
            writing=lambda pid: {(1, pid)},
            patient=patient,
        )

    def alive(self, pid: int, born: int) -> bool:
        return any((one.pid, one.born) == (pid, born) for one in self.family)

    def step(self, now: float, *ended: int) -> list[int]:
        """Return who is asked at `now`, after these have ended."""
        self.family = [one for one in self.family if one.pid not in ended]
        self.asked.clear()
        self.asking.step(now)
        return list(self.asked)


def pipeline(*, patient: int = 0) -> Stage:
    return Stage(
        process(1, 0, "bash -c x"),
        process(2, 1, "python train.py", writes="pipe:[7]"),
        process(3, 1, "tee log", reads="pipe:[7]"),
        process(4, 2, "python train.py"),
        patient=patient,
    )


def test_what_stands_around_the_programs_is_asked_once_they_have_ended_and_pipes_are_empty() -> None:
    stage = pipeline()
    assert stage.step(10.0) == [2]
    assert stage.step(40.0) == []  # however long a save takes
    assert stage.step(50.0, 2, 4) == []
    assert stage.step(50.9) == []
    assert stage.step(51.0) == [3, 1]
    assert stage.step(60.0) == []


def test_a_shell_that_waits_for_its_child_is_asked_at_once_and_starts_no_further_line() -> None:
    assert pipeline(patient=1).step(10.0) == [2, 1]


def test_a_shell_with_no_program_below_is_asked_at_once() -> None:
    assert Stage(process(1, 0, "bash run.sh")).step(10.0) == [1]


def test_what_a_launcher_that_is_not_known_leaves_behind_is_asked_after_it() -> None:
    stage = Stage(process(1, 0, "python launch.py"), process(2, 1, "python train.py"), process(3, 2, "python train.py"))
    assert stage.step(10.0) == [1]
    stage.family = [process(2, 0, "python train.py"), process(3, 2, "python train.py")]
    assert stage.step(10.2) == []
    assert stage.step(11.2) == [2]


def test_a_loop_of_a_shell_that_begins_again_and_again_is_ended() -> None:
    stage = Stage(process(1, 0, "bash loop.sh"), process(2, 1, "python train.py"))
    assert stage.step(10.0) == [2]
    stage.family.append(process(5, 1, "python train.py"))
    assert stage.step(11.0, 2) == []
    assert stage.step(12.0) == [5, 1]


def test_a_launcher_that_stays_when_its_ranks_have_ended_is_asked_last() -> None:
    stage = Stage(
        process(1, 0, "bash -c x"),
        process(2, 1, "python /opt/bin/torchrun train.py"),
        process(3, 2, "python train.py"),
        patient=1,
    )
    assert stage.step(10.0) == [3, 1]
    assert stage.step(11.0, 3) == []
    assert stage.step(12.0) == [2]


def test_of_what_has_no_handler_everything_is_cut_unless_another_saves_by_its_own() -> None:
    stage = Stage(process(1, 0, "python train.py"), process(2, 0, "sleep 1000"))
    stage.step(10.0)
    assert stage.asking.cuts == [None, None]
    stage = Stage(process(1, 0, "python train.py", caught=TERM), process(2, 0, "sleep 1000"))
    stage.step(10.0)
    assert stage.asking.cuts == [{(1, 2)}]
    stage.family.append(process(3, 1, "python child.py"))  # found when the other has ended, and ended then
    stage.step(14.0, 1, 2)
    assert stage.asking.cuts == [{(1, 2)}]
    stage.step(15.0)
    assert stage.asking.cuts == [{(1, 2)}, {(1, 3)}]


def test_a_number_that_is_given_again_is_somebody_else() -> None:
    stage = Stage(process(1, 0, "python train.py"))
    assert stage.step(10.0) == [1]
    stage.family = [Process(pid=1, parent=0, born=99, program="python3", words=["python", "train.py"])]
    stage.step(11.0)
    assert stage.step(12.0) == [1]


# ---------------------------------------------------------------- with real processes

SAVE = """
import os, signal, subprocess, sys, time, zipfile
def save():
    os.makedirs("out", exist_ok=True)
    print("saving", flush=True)
    with zipfile.ZipFile("out/last.tmp", "w") as out:
        for part in range(30):
            out.writestr(f"data{part}", "weights")
            time.sleep(0.01)
    os.replace("out/last.tmp", "out/last.pt")
    print("saved", flush=True)
"""
# As torch does with `num_workers=2`: two forked children, and an error in the main thread when one is killed.
LOADS = (
    SAVE
    + """
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
workers = []
for _ in range(2):
    if (pid := os.fork()) == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(600)
    workers.append(pid)
def died(*_):
    raise RuntimeError("DataLoader worker is killed by signal: Terminated.")
signal.signal(signal.SIGCHLD, died)
print("step 1: loss 2.0", flush=True)
while not stop:
    time.sleep(0.01)
time.sleep(0.2)  # the step that it is in
save()
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
for pid in workers:
    os.kill(pid, signal.SIGKILL)
"""
)
PRINTS = (
    SAVE
    + """
def leave(*_):
    time.sleep(0.2)
    save()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.05)
"""
)
# As torch's own: each rank in a session of its own, whose whole group is ended with the launcher.
TORCHRUN = """
import os, signal, subprocess, sys
rank = subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True)
def close(*_):
    os.killpg(rank.pid, signal.SIGTERM)
    rank.wait()
    sys.exit(1)
signal.signal(signal.SIGTERM, close)
sys.exit(rank.wait())
"""
LAUNCH = "import subprocess, sys\nsubprocess.run([sys.executable, *sys.argv[1:]])\n"
RANKS = (
    SAVE
    + """
import multiprocessing
def rank(number):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    print("step 1: loss 2.0", flush=True)
    while not stop:
        time.sleep(0.01)
    save()
if __name__ == "__main__":
    if "listens" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: None)
    one = multiprocessing.get_context("spawn").Process(target=rank, args=(0,))
    one.start()
    one.join()
"""
)


@pytest.mark.parametrize(
    "line",
    [
        "python loads.py",
        "python torchrun loads.py",
        "timeout 600 python loads.py",
        "python prints.py 2>&1 | tee log",
        "python prints.py | while read line; do echo $line; done",
        "bash run.sh",
        "python launch.py prints.py",
        "python ranks.py",
        "python ranks.py listens",
    ],
)
def test_a_script_that_saves_when_it_is_asked_is_let_do_so(rented: Rented, line: str) -> None:
    files = {
        "loads.py": LOADS,
        "prints.py": PRINTS,
        "torchrun": TORCHRUN,
        "launch.py": LAUNCH,
        "ranks.py": RANKS,
        "run.sh": "exec > >(tee log)\npython loads.py\necho over\n",
    }
    rented.order(files, commands=[line, "echo never"], grace=20.0)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert rented.outcome()["reason"] == "stopped"
    assert len(rented.manifests()) == 1
    assert "saved" in rented.log().splitlines()
    assert "never" not in rented.log().splitlines()
    assert rented.outcome()["signal"] != signal.SIGKILL  # it was not waited for in vain


def started(folder: Path, argv: Sequence[str], lines: list[str]) -> Command:
    output = Output(redactor=Redactor({}), log=lines.append, watch=lambda text: None)
    return Command(argv, cwd=folder, env=dict(os.environ), output=output)


def test_a_rank_in_a_session_of_its_own_is_ended_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "torchrun").write_text(TORCHRUN)
    (tmp_path / "train.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n")
    lines: list[str] = []
    command = started(tmp_path, [sys.executable, "torchrun", "train.py"], lines)
    until(lambda: lines)
    command.finish()
    (born,) = [stat.born for pid, stat in procs._stats() if pid == int(lines[0])] or [0]
    until(lambda: not procs.alive(int(lines[0]), born))


def test_what_a_process_writes_is_known_and_what_it_only_reads_is_not(tmp_path: Path) -> None:
    files = [tmp_path / "written", tmp_path / "appended", tmp_path / "read"]
    files[2].write_text("x")
    with files[0].open("w"), files[1].open("a"), files[2].open():
        found = procs.being_written(os.getpid())
    assert [(file.stat().st_dev, file.stat().st_ino) in found for file in files] == [True, True, False]


def test_a_family_is_what_lives_in_the_session_and_below_it(tmp_path: Path) -> None:
    (tmp_path / "torchrun").write_text(TORCHRUN)
    (tmp_path / "train.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    lines: list[str] = []
    command = started(tmp_path, [sys.executable, "torchrun", "train.py"], lines)
    until(lambda: lines)
    assert command._process is not None
    family = procs.family(command._process.pid)
    assert sorted(map(name, family)) == ["torchrun", "train.py"]
    assert {one.program for one in family} == {Path(sys.executable).resolve().name}
    launcher, rank = sorted(family, key=name)
    assert (rank.parent, launcher.catches(signal.SIGTERM), rank.catches(signal.SIGTERM)) == (launcher.pid, True, False)
    assert launcher.writes == rank.writes
    assert len(rank.writes) == 1
    command.finish()
    assert procs.family(command._process.pid) == []

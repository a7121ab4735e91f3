"""When to stop, why it ended, and what a changed clock or a garbled wish may do about it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.trainer.fakes import HandClock, Moody
from trainer import wire
from trainer.control import ControlWatch, parse_control
from trainer.deadline import Deadline
from trainer.machine import BadMachine, machine_from
from trainer.outcome import Refused, decide, oom_kills, was_killed
from trainer.preempt import Preemption, Step
from trainer.wire import Control, Reason

OOM = (Reason.OOM, 1, None)
ENV = {
    wire.ENV_STORE: "file:///store",
    wire.ENV_JOB: "J1",
    wire.ENV_ATTEMPT: "2",
    wire.ENV_DEADLINE: "1762077600.5",
}


def test_a_wall_clock_that_jumps_does_not_move_the_deadline() -> None:
    clock, wall = HandClock(50.0), HandClock(1_000.0)
    deadline = Deadline(1_060.0, wall=wall, clock=clock)
    assert deadline.left() == 60.0
    wall.now -= 86_400
    clock.now += 61.0
    assert deadline.left() == -1.0


def test_a_moved_deadline_moves_by_the_difference_of_the_announcements() -> None:
    clock, wall = HandClock(50.0), HandClock(1_000.0)
    deadline = Deadline(1_060.0, wall=wall, clock=clock)
    wall.now += 86_400
    deadline.move(1_090.0)
    assert (deadline.left(), deadline.at) == (90.0, 1_090.0)
    with pytest.raises(ValueError, match="nan is not a time"):
        deadline.move(float("nan"))
    assert deadline.left() == 90.0


def test_of_the_grace_the_command_has_three_quarters_and_the_uploads_the_rest() -> None:
    preemption = Preemption(grace=100.0)
    assert preemption.step(899.9, ends=1_000.0) is Step.LET_RUN
    assert preemption.step(900.0, ends=1_000.0) is Step.ASK
    assert preemption.reason is Reason.DEADLINE
    assert preemption.step(974.9, ends=1_000.0) is Step.WAIT
    assert preemption.step(975.0, ends=1_000.0) is Step.KILL
    assert preemption.last_call(1_000.0) == 990.0


def test_a_stop_has_the_same_grace_from_when_it_was_asked() -> None:
    preemption = Preemption(grace=100.0)
    assert preemption.ask(Reason.STOPPED, 200.0)
    assert preemption.step(200.0, ends=1_000.0) is Step.ASK
    assert preemption.step(274.9, ends=1_000.0) is Step.WAIT
    assert preemption.step(275.0, ends=1_000.0) is Step.KILL
    assert preemption.last_call(1_000.0) == 290.0


def test_a_stop_just_before_the_deadline_does_not_reach_beyond_it() -> None:
    preemption = Preemption(grace=100.0)
    preemption.ask(Reason.STOPPED, 890.0)
    assert preemption.kill_at(1_000.0) == 965.0
    late = Preemption(grace=100.0)
    late.ask(Reason.STOPPED, 990.0)
    assert late.step(990.0, ends=1_000.0) is Step.KILL


@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [
        (Reason.PREEMPTED, Reason.STOPPED, Reason.STOPPED),
        (Reason.PREEMPTED, Reason.PREEMPTED, Reason.PREEMPTED),
        (Reason.STOPPED, Reason.PREEMPTED, Reason.STOPPED),
        (Reason.DEADLINE, Reason.PREEMPTED, Reason.DEADLINE),
        (Reason.DEADLINE, Reason.STOPPED, Reason.DEADLINE),
        (Reason.STOPPED, Reason.DIVERGED, Reason.STOPPED),
    ],
)
def test_the_first_reason_stands_but_a_bare_signal_gives_way(first: Reason, second: Reason, stands: Reason) -> None:
    preemption = Preemption(grace=1.0)
    preemption.ask(first, 0.0)
    changed = preemption.ask(second, 1.0)
    assert (preemption.reason, changed) == (stands, stands is not first)


def refused(lines: Iterable[str]) -> Refused:
    """Return what is known of memory after a command has printed these lines."""
    known = Refused()
    for line in lines:
        known.take(line)
    return known


@pytest.mark.parametrize(
    ("asked", "returncode", "kills", "tail", "expected"),
    [
        (None, 0, 0, [], (Reason.FINISHED, 0, None)),
        (None, 0, 1, [], (Reason.FINISHED, 0, None)),
        (None, 3, 0, ["boom"], (Reason.ERROR, 3, None)),
        (None, -11, 0, [], (Reason.ERROR, None, 11)),
        (None, -9, 0, [], (Reason.ERROR, None, 9)),
        (None, -9, 1, [], (Reason.OOM, None, 9)),
        (None, 137, 1, [], (Reason.OOM, 137, 9)),
        (None, 1, 1, ["DataLoader worker (pid 41) is killed by signal: Killed."], (Reason.OOM, 1, None)),
        (None, 1, 0, ["torch.OutOfMemoryError: CUDA out of memory. Tried"], (Reason.GPU_OOM, 1, None)),
        (None, 1, 0, ["jaxlib: RESOURCE_EXHAUSTED: Out of memory while trying to allocate"], (Reason.GPU_OOM, 1, None)),
        (None, 1, 0, ["Traceback", "MemoryError"], (Reason.OOM, 1, None)),
        (None, 1, 0, ["RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"], OOM),
        (None, -6, 0, ["terminate called after throwing an instance of 'std::bad_alloc'"], (Reason.OOM, None, 6)),
        (None, 1, 0, ["MemoryError", *"abcde"], (Reason.ERROR, 1, None)),  # caught, and something else came after it
        (None, 1, 0, ["no MemoryError here"], (Reason.ERROR, 1, None)),
        (None, 0, 0, ["MemoryError"], (Reason.FINISHED, 0, None)),
        (Reason.STOPPED, 1, 0, ["CUDA out of memory"], (Reason.STOPPED, 1, None)),
        (Reason.DEADLINE, 0, 0, [], (Reason.DEADLINE, 0, None)),
        (Reason.DEADLINE, -9, 1, [], (Reason.DEADLINE, None, 9)),
    ],
)
def test_our_own_record_decides_and_the_exit_code_only_where_we_asked_for_nothing(
    asked: Reason | None, returncode: int, kills: int, tail: list[str], expected: tuple[Reason, int | None, int | None]
) -> None:
    outcome = decide(asked=asked, returncode=returncode, oom_kills=kills, refused=refused(tail), tail=tail)
    assert (outcome.reason, outcome.code, outcome.signal) == expected


@pytest.mark.parametrize(
    ("returncode", "asked", "killed"),
    [
        (0, False, False), (1, False, False),  # an error of its own leaves what it had saved
        (-9, False, True), (-15, True, True), (137, False, True), (139, False, True), (139, True, True),
        (255, False, False), (255, True, False),  # `sys.exit(-1)`: no signal has that number
        (143, False, True),  # how a shell says that SIGTERM ended what it ran
        (143, True, False),  # and ours that it was asked itself: whom else that ended, `Asking` knows
    ],
)  # fmt: skip
def test_a_signal_may_have_ended_what_a_shell_ran(returncode: int, asked: bool, killed: bool) -> None:
    assert was_killed(returncode, asked=asked) is killed


SHORT = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB."
RANK = [
    "Traceback (most recent call last):",
    '  File "train.py", line 5, in <module>',
    "    step()",
    "    ^^^^^^",
    SHORT,
]
# What torchrun prints when a rank has failed, as of torch 2.13, of eight ranks.
TORCHRUN = [
    *["W1130 16:40:20.801000 20052 torch/elastic/api.py:1028] Sending process 20121 closing signal SIGTERM"] * 7,
    "E1130 16:40:20.805000 20052 torch/elastic/api.py:1002] failed (exitcode: 1) local_rank: 0 of binary: python",
    "Traceback (most recent call last):",
    *['  File "torch/distributed/run.py", line 1028, in main', "    run(args)"] * 10,
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    "============================================================",
    "train.py FAILED",
    "------------------------------------------------------------",
    "Failures:",
    *["[1]:", "  time      : 2026-11-30_16:40:20", "  exitcode  : -15 (pid: 20121)  (SIGTERM)", "  rank      : 1"] * 12,
    "Root Cause (first observed failure):",
    "[0]:",
    "  exitcode  : 1 (pid: 20120) ",
    "============================================================",
]


@pytest.mark.parametrize(
    "lines",
    [
        RANK,
        [f"[rank3]: {line}" for line in RANK] + TORCHRUN,
        RANK * 8 + TORCHRUN,
        ["step 7: loss 1.0", *RANK, "step 7: loss 1.1", *TORCHRUN],  # another rank was a line behind
        [*RANK, "RuntimeError: CUDA out of memory", *TORCHRUN],  # told again without figures
    ],
    ids=["one", "prefixed", "eight", "behind", "again"],
)
def test_the_line_that_told_of_a_full_gpu_is_kept_however_much_is_printed_while_dying(lines: list[str]) -> None:
    outcome = decide(asked=None, returncode=1, oom_kills=0, refused=refused(lines), tail=lines[-80:])
    assert outcome.reason is Reason.GPU_OOM
    told = outcome.data(steps=7)["memory"]
    assert told is not None
    assert told.endswith(SHORT)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", Reason.GPU_OOM),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.", Reason.GPU_OOM),
        ("torch.AcceleratorError: CUDA error: out of memory", Reason.GPU_OOM),
        ("RuntimeError: CUDA driver error: out of memory", Reason.GPU_OOM),
        (
            "RuntimeError: cuda runtime error (2) : out of memory at /pytorch/aten/src/THC/THCGeneral.cpp:50",
            Reason.GPU_OOM,
        ),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", Reason.GPU_OOM),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1234 bytes.", Reason.GPU_OOM),
        (
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[9]"
            " and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:MatMul]",
            Reason.GPU_OOM,
        ),
        (  # Keras: in a message of several lines
            "OOM when allocating tensor with shape[64,9] and type float on"
            " /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc",
            Reason.GPU_OOM,
        ),
        (
            "ResourceExhaustedError: OOM when allocating tensor with shape[9] on /device:CPU:0 by allocator cpu",
            Reason.OOM,
        ),
        ("Failed to CUDA calloc async 608 bytes", Reason.GPU_OOM),  # the last line of NCCL's message
        ("Cuda failure 2 'out of memory'", Reason.GPU_OOM),
        ("box:81:81 [0] transport/net.cc:1 NCCL WARN Cuda failure 'out of memory'", Reason.GPU_OOM),
        (
            "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,000 bytes (allocated so far: 1).",
            Reason.GPU_OOM,
        ),
        ("ResourceExhaustedError: Out of memory error on GPU 0. Cannot allocate 2.0GB memory on GPU 0", Reason.GPU_OOM),
        (
            "numba.cuda.cudadrv.driver.CudaAPIError: [2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY",
            Reason.GPU_OOM,
        ),
        (
            "MemoryError: std::bad_alloc: out_of_memory: CUDA error: cudaErrorMemoryAllocation out of memory",
            Reason.GPU_OOM,
        ),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.00 TiB for an array", Reason.OOM),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1.00 TiB for an array", Reason.OOM),
        ("numpy.core._exceptions.MemoryError: Unable to allocate array with shape (1,)", Reason.OOM),
        ("[rank0]: MemoryError", Reason.OOM),
        ("pyarrow.lib.ArrowMemoryError: malloc of size 64 failed", Reason.OOM),
        ("memory allocation of 8589934592 bytes failed", Reason.OOM),  # Rust's
        ("OSError: [Errno 12] Cannot allocate memory", Reason.OOM),
        ("run.sh: fork: Cannot allocate memory", Reason.OOM),
        ("triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 147456", Reason.ERROR),
        ("the model may run out of memory", Reason.ERROR),
    ],
)
def test_memory_that_was_refused_is_known_by_the_words_of_whoever_refused_it(line: str, reason: Reason) -> None:
    lines = ["Traceback (most recent call last):", "Last error:", line, *TORCHRUN]
    outcome = decide(asked=None, returncode=1, oom_kills=0, refused=refused(lines), tail=lines)
    assert (outcome.reason, outcome.memory) == (reason, "" if reason is Reason.ERROR else line)


KEY = ["Traceback (most recent call last):", '  File "train.py", line 9, in <module>', "KeyError: 'x'"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            ["CUDA out of memory at batch size 64, trying 32", *(f"step {n} loss 1" for n in range(60)), *KEY],
            Reason.ERROR,
        ),
        ([*RANK, *(f"step {n} loss 1" for n in range(60)), *KEY], Reason.ERROR),
        ([*RANK, *(f"  {n}%|###   | {n}/100" for n in range(60)), *KEY], Reason.ERROR),
        (["CUDA out of memory at batch size 64, trying 32", *KEY], Reason.ERROR),
        (["[default0]:CUDA out of memory, trying 32", *["[default0]:step 1 loss 1"] * 60, *KEY], Reason.ERROR),
        (["Skipping a batch: CUDA out of memory.", "step 5 loss 1"] * 9 + KEY, Reason.ERROR),
        (["CUDA out of memory at batch size 1, giving up", "good bye"], Reason.GPU_OOM),
        (["CUDA out of memory at batch size 1, giving up", *TORCHRUN], Reason.GPU_OOM),
        (["CUDA out of memory at batch size 64, trying 32", *RANK], Reason.GPU_OOM),
        ([*RANK, "During handling of the above exception, another exception occurred:", *KEY], Reason.GPU_OOM),
        ([*RANK, *(f"[rank1]: {line}" for line in KEY), *TORCHRUN], Reason.GPU_OOM),
        (["MemoryError", *(f"step {n} loss 1" for n in range(60)), *KEY], Reason.ERROR),
    ],
)
def test_memory_that_was_refused_and_done_without_is_not_why_it_ended(lines: list[str], reason: Reason) -> None:
    assert decide(asked=None, returncode=1, oom_kills=0, refused=refused(lines), tail=lines).reason is reason


def test_a_line_about_memory_is_carried_only_where_it_is_the_reason_and_no_longer_than_people_read() -> None:
    known = refused(["RuntimeError: CUDA out of memory. " + "x" * 9_000])
    told = decide(asked=None, returncode=1, oom_kills=0, refused=known, tail=[]).data(None)["memory"]
    assert told is not None
    assert len(told) == 600
    for asked, code in ((Reason.STOPPED, 1), (None, 0)):
        assert decide(asked=asked, returncode=code, oom_kills=0, refused=known, tail=[]).data(None)["memory"] is None


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/job\n", "cgroup/job/memory.events": "low 0\noom 2\noom_kill 1\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "cgroup/memory.events": "oom_kill 4\n"}, 4),
        ({"proc/self/cgroup": "4:memory:/a\n0::/\n", "cgroup/memory/a/memory.oom_control": "oom_kill 3\n"}, 3),
        ({"proc/self/cgroup": "4:memory:/a\n", "cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 2\n"}, 2),
        ({"proc/vmstat": "nr_free_pages 1\noom_kill 7\n"}, 7),
        ({}, 0),
    ],
)
def test_kills_for_memory_are_counted_where_the_kernel_writes_them(
    tmp_path: Path, files: dict[str, str], count: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path / "proc", tmp_path / "cgroup") == count


def test_the_newest_wish_wins_and_each_is_told_once(tmp_path: Path) -> None:
    store, wishes, notices = Moody(tmp_path), [], []
    watch = ControlWatch(
        store, "control/J1/a1.json", every=3600.0, wish=wishes.append, notice=lambda code, text: notices.append(code)
    )
    for seq in (2, 1, 2, 3):
        store.put("control/J1/a1.json", wire.to_json(Control(seq=seq, deadline=9.0, stop=None)))
        assert watch.fresh(5.0)
    store.put("control/J1/a1.json", b"garbage")
    assert watch.fresh(5.0)
    assert watch.fresh(5.0)
    watch.close()
    assert [wish.seq for wish in wishes] == [2, 3]
    assert notices == ["control_unreadable"]


@pytest.mark.parametrize("deadline", ["1e999", "-1", "0", "true", '"soon"', "null"])
def test_a_wish_for_no_time_is_none(deadline: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_control(f'{{"seq":1,"deadline":{deadline},"stop":null}}'.encode())


def test_a_machine_is_what_its_variables_say() -> None:
    machine = machine_from(ENV)
    assert (machine.job, machine.attempt, machine.rank, machine.deadline) == ("J1", 2, 0, 1762077600.5)
    assert machine.workdir is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (wire.ENV_STORE, "", "HOURGLASS_STORE is not set"),
        (wire.ENV_JOB, "../J2", "'../J2' is not a job's id"),
        (wire.ENV_JOB, "a/b", "'a/b' is not a job's id"),
        (wire.ENV_ATTEMPT, "-1", "'-1' is not a whole number"),
        (wire.ENV_RANK, "one", "'one' is not a whole number"),
        (wire.ENV_DEADLINE, "nan", "'nan' is not a time"),
        (wire.ENV_DEADLINE, "4h", "'4h' is not a time"),
    ],
)
def test_a_wrong_variable_is_named_and_quoted(name: str, value: str, said: str) -> None:
    with pytest.raises(BadMachine, match=said):
        machine_from({**ENV, name: value})

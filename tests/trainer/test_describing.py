"""Lines that are described while the run goes on: all of them are read so, from the first one on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.trainer.rented import Rented, until
from tests.trainer.test_progress import Watched
from trainer.progress import Progress
from trainer.spool import Spool
from trainer.wire import EventKind


@pytest.fixture
def spooled(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A progress that keeps what it is given, so many bytes at most, and was told nothing of its lines."""
    run, most = Watched(), getattr(request, "param", 1_000_000)
    run.progress = Progress(
        tell=lambda kind, data: run.told.append((kind, data)),
        spool=Spool(tmp_path / "printed", most=most),
        clock=run.clock,
        wall=run.wall,
    )
    assert run.progress.describe(())
    yield run
    run.progress.flush()
    assert not (tmp_path / "printed").is_file()


def test_what_was_printed_before_is_told_at_its_steps_and_where_the_run_stands(spooled: Watched) -> None:
    run = spooled
    run.line("will run pass 6")
    for step in range(12):
        run.line(f"E{step // 4}b{step % 4} A<{1 / (step + 1):.3f}>")
    assert run.of(EventKind.METRIC) == []
    assert run.progress.described_anew(["E{epoch}b{batch} A<{zeta}>"])
    assert run.progress.described_anew(["E{epoch}b{batch} A<{zeta}>"]) == ""
    assert [data["step"] for data in run.of(EventKind.METRIC)] == list(range(12))
    assert run.of(EventKind.METRIC)[-1]["values"] == {"zeta": 0.083}
    assert run.of(EventKind.PROGRESS)[-1]["step"] == 11
    run.line("E3b0 A<0.077>", after=1.0)
    assert run.of(EventKind.METRIC)[-1] == {"step": 12, "values": {"zeta": 0.077}}
    assert run.of(EventKind.ANEW) == []


def test_what_measures_without_a_count_stands_where_others_say(spooled: Watched) -> None:
    run = spooled
    for step in (10, 20):
        run.line(f"step {step}: loss 2.5", after=1.0)
        run.line("judge gave 0.75")
    run.progress.described_anew(["judge gave {verdict}"])
    assert run.of(EventKind.METRIC)[-2:] == [{"step": step, "values": {"verdict": 0.75}} for step in (10, 20)]


def test_what_was_misread_is_told_to_be_so_before_it_is_told_anew(spooled: Watched) -> None:
    run = spooled
    for epoch in (1, 2):
        run.line(f"epoch {epoch}", after=1.0)
        run.line(f"step {100 * epoch}: loss 2.5 of 0.{epoch}25", after=1.0)
    run.progress.described_anew(["step {}: loss {} of {loss}", "epoch {epoch}"])
    told = [(kind, data.get("step")) for kind, data in run.told if kind in (EventKind.METRIC, EventKind.ANEW)]
    metric = EventKind.METRIC
    assert told == [(metric, 100), (metric, 200), (EventKind.ANEW, None), (metric, 1), (metric, 2)]
    assert run.of(EventKind.ANEW) == [{"series": ["loss"]}]
    assert run.of(metric)[-1]["values"] == {"loss": 0.225}


def test_a_long_run_is_thinned_out_and_its_nan_is_kept(spooled: Watched) -> None:
    run = spooled
    for step in range(5_000):
        run.line(f"pass{step} zeta<{'nan' if step == 77 else 0.5}>")
    run.progress.described_anew(["pass{step} zeta<{zeta}>"])
    steps = [data["step"] for data in run.of(EventKind.METRIC)]
    assert len(steps) <= 2_001
    assert (steps[0], 77 in steps, steps[-1] >= 4_990) == (0, True, True)
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("lost", "spooled"), [("too long", 40), ("gone", 1_000), ("no room", 1_000)], indirect=["spooled"]
)
def test_where_not_all_is_there_any_more_the_next_line_is_the_first(
    spooled: Watched, tmp_path: Path, lost: str
) -> None:
    run, kept = spooled, tmp_path / "printed"
    if lost == "no room":
        kept.mkdir()  # no file can be written there
    for step in range(1, 5):
        run.line(f"pass{step} zeta<0.5>")
    if lost == "gone":
        kept.unlink()
    run.progress.described_anew(["pass{step} zeta<{zeta}>"])
    run.line("pass5 zeta<0.25>")
    assert run.of(EventKind.METRIC) == [{"step": 5, "values": {"zeta": 0.25}}]
    assert lost != "too long" or not kept.exists()


def test_a_description_that_cannot_be_read_changes_nothing_and_says_so() -> None:
    run = Watched()
    run.progress.describe(["a {loss}"])
    for wrong in (["b {"], ["{x}{y}"], [None], 7):
        assert "cannot be read" in run.progress.described_anew(wrong)  # type: ignore[arg-type]
    run.line("a 0.5")
    assert run.of(EventKind.METRIC)[0]["values"] == {"loss": 0.5}


def test_a_machine_is_told_by_its_control_file(rented: Rented, tmp_path: Path) -> None:
    rented.order(
        {},
        commands=[
            "echo 'pass1|77 zeta<0.91>'",
            "while [ ! -e go ]; do sleep 0.05; done",
            "echo 'pass2|78 zeta<0.82>'",
        ],
    )
    rented.start()
    until(lambda: "zeta<0.91>" in rented.log())
    rented.tell(progress=["pass{epoch}|{} zeta<{zeta}>"])
    until(lambda: "as they were described" in rented.log())
    (rented.scratch / "source" / "go").touch()
    assert rented.wait() == 0
    assert rented.series("zeta") == [(1, 0.91), (2, 0.82)]

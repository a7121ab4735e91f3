"""Lines that are described while the run goes on: from the next one on they are read so, nothing misread is kept."""

from __future__ import annotations

from pathlib import Path

from tests.trainer.rented import Rented, until
from tests.trainer.test_progress import Watched
from trainer.wire import EventKind


def test_from_the_next_line_on_they_are_read_so() -> None:
    run = Watched()
    assert run.progress.describe(())
    run.line("pass3|77 zeta<0.91>")
    assert run.of(EventKind.METRIC) == []
    assert run.progress.described_anew(["pass{epoch}|{} zeta<{zeta}>"])
    assert run.progress.described_anew(["pass{epoch}|{} zeta<{zeta}>"]) == ""
    run.line("pass4|78 zeta<0.82>", after=1.0)
    assert run.of(EventKind.METRIC) == [{"step": 4, "values": {"zeta": 0.82}}]
    assert run.of(EventKind.ANEW) == []


def test_what_was_misread_is_told_to_be_so_before_it_is_told_anew() -> None:
    run = Watched()
    for step in range(100, 103):
        run.line(f"step {step}: loss 2.5", after=1.0)
    run.progress.described_anew(["step {}: loss {} of {loss}", "epoch {epoch}"])
    run.line("epoch 7", after=1.0)
    run.line("step 103: loss 2.5 of 0.125", after=1.0)
    kinds = [kind for kind, _ in run.told if kind in (EventKind.METRIC, EventKind.ANEW)]
    assert kinds == [EventKind.METRIC] * 3 + [EventKind.ANEW, EventKind.METRIC]
    assert run.of(EventKind.ANEW) == [{"series": ["loss"]}]
    assert run.of(EventKind.METRIC)[-1] == {"step": 7, "values": {"loss": 0.125}}


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
    assert rented.series("zeta") == [(2, 0.82)]

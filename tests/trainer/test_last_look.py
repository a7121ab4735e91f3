"""Near the end of a run: the newest goes first, nothing is waited for, and what a kill cut off is no checkpoint."""

from __future__ import annotations

import os
import zipfile

import pytest

from tests.trainer.saving import Run, in_store, saved
from tests.trainer.test_whole import zipped
from trainer.settled import Cut


def test_an_older_upload_gives_way_to_what_was_saved_when_asked_and_goes_on_after_it(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)

    def asked_to_stop(name: str) -> None:
        if name == "step_1.pt":
            run.artifacts.hurry()
            run.clock.now += 1.0
            saved(run, "step_2.pt", minute=2)

    run.store.before_put_file = asked_to_stop
    assert not run.artifacts.look()
    run.store.before_put_file = lambda name: None
    run.clock.now += 1.0
    assert run.artifacts.look()
    assert [name for name, _ in run.store.asked] == ["step_1.pt", "step_2.pt", "step_1.pt"]
    assert (run.names(), run.notices) == (["step-000002", "step-000001"], [])
    assert run.store.forgotten == []  # the parts that arrived were gone on with


def test_an_upload_gives_way_to_what_the_script_names(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.artifacts.hurry()
    assert not run.artifacts.look(more=lambda: True)
    (run.out / "state.dat").write_text("x")
    assert run.artifacts.look(named=[run.out / "state.dat"])
    assert run.names() == ["state.dat", "step-000001"]


def test_an_upload_does_not_give_way_to_what_could_not_be_sent_before_it(run: Run) -> None:
    run.store.refuses = "step_2"
    saved(run, "step_1.pt", minute=1)
    saved(run, "step_2.pt", minute=2)
    run.artifacts.hurry()
    assert not run.artifacts.look(final=True)
    assert run.names() == ["step-000001"]


def test_an_upload_gives_way_to_nothing_while_there_is_time(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.store.before_put_file = lambda name: saved(run, "step_2.pt", minute=2)
    assert run.artifacts.look()
    assert run.names() == ["step-000001"]


def test_near_the_end_no_turn_is_waited_for(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.artifacts.look()
    saved(run, "step_2.pt", minute=2)
    run.artifacts.look()
    assert run.names() == ["step-000001"]
    run.artifacts.hurry()
    run.artifacts.look()
    assert run.names() == ["step-000001", "step-000002"]


def test_what_was_cut_is_named_and_what_is_safe(run: Run) -> None:
    run.store.refuses = "step_"
    saved(run, "step_2.pt", minute=2)
    assert not run.artifacts.look(final=True)
    assert run.artifacts.unsent() == "step_2.pt could not be uploaded in time; no checkpoint is safe."
    run.store.refuses = "step_3"
    run.artifacts.look(final=True)
    saved(run, "step_3.pt", minute=3)
    assert not run.artifacts.look(final=True)
    assert run.artifacts.unsent() == "step_3.pt could not be uploaded in time; the newest that is safe is step-000002."


def test_what_an_attempt_went_on_from_is_still_safe(run: Run) -> None:
    saved(run, "step_1.pt", minute=1)
    run.artifacts.baseline("step-000001")
    saved(run, "step_2.pt", minute=2)
    run.store.away = True
    assert not run.artifacts.look(final=True)
    safe = "the newest that is safe is step-000001, from which this attempt went on."
    assert run.artifacts.unsent() == f"step_2.pt could not be uploaded in time; {safe}"


def test_what_a_last_look_passes_over_keeps_nothing_older_from_the_store(run: Run) -> None:
    now = 1_762_077_600.0  # by the run's own clock
    for name, size, written in (("step_100.msgpack", 1_000, now - 60), ("step_200.msgpack", 400, now - 3.5)):
        (run.out / name).write_bytes(b"\x82" + b"x" * size)
        os.utime(run.out / name, (written, written))
    run.artifacts.hurry()
    assert run.artifacts.look(final=True, killed_at=now - 3)
    assert run.names() == ["step-000100"]


def test_nothing_is_begun_or_removed_once_there_is_no_time_left(run: Run) -> None:
    zipped(run.out / "step_100.pt")
    run.artifacts.abandon()
    assert not run.artifacts.look(final=True)
    assert run.names() == []


def test_of_what_a_kill_cut_off_nothing_is_taken(run: Run) -> None:
    for name, written in (("old.pt", 1_000.0), ("new.pt", 1_099.0)):
        (run.out / name).write_bytes(b"\x80\x02}q\x00.")  # a form without an end to look for
        os.utime(run.out / name, (written, written))
    saved(run, "last.pt", minute=1.65)  # this one has an end
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert sorted(run.names()) == ["last-1", "old"]
    assert run.notices == [("checkpoint_half", "new.pt was not written to its end, so it is not taken.")]


def test_what_was_being_written_when_a_program_was_ended_is_not_taken_for_lying_still(run: Run) -> None:
    cut_at = 1_762_077_590.0
    for name, written in (("step_1.msgpack", cut_at - 5), ("step_2.msgpack", cut_at), ("step_3.msgpack", cut_at + 4)):
        (run.out / name).write_bytes(b"\x82whatever")
        os.utime(run.out / name, (written, written))
    saved(run, "last.pt", minute=1)
    run.artifacts.hurry(Cut(at=cut_at))
    for _ in range(3):  # others of the command live on
        run.artifacts.look()
        run.clock.now += 2.0
    assert sorted(run.names()) == ["last-1", "step-000001", "step-000003"]
    assert run.artifacts.look(final=True)  # and those end by themselves
    assert sorted(run.names()) == ["last-1", "step-000001", "step-000003"]
    assert run.notices == [("checkpoint_half", "step_2.msgpack was not written to its end, so it is not taken.")]


def test_what_may_be_half_is_kept_only_where_nothing_else_is_and_marked(run: Run) -> None:
    for name, written in (("model_7.msgpack", 1_099.0), ("optim_7.msgpack", 1_090.0)):
        (run.out / name).write_bytes(b"\x82whatever")
        os.utime(run.out / name, (written, written))
    run.store.refuses = "manifest"
    assert not run.artifacts.look(final=True, killed_at=1_100.0)
    run.store.refuses = ""
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    (name,) = run.names()
    assert sorted(entry.path for entry in run.manifest(name).files) == ["model_7.msgpack", "optim_7.msgpack"]
    assert list(run.manifest(name).unproven) == ["model_7.msgpack"]
    assert [text for code, text in run.notices if code == "checkpoint_half"] == [
        "model_7.msgpack may not have been written to its end."
        " It is kept, since nothing else is, and marked as unproven."
    ]


def test_of_a_program_that_was_ended_beside_others_only_what_it_had_open_is_cut(run: Run) -> None:
    cut_at = 1_762_077_590.0
    (run.out / "checkpoint-3").mkdir()
    half = [run.out / "step_1.msgpack", run.out / "checkpoint-3" / "a.bin"]
    for file in (*half, run.out / "step_2.msgpack", run.out / "checkpoint-3" / "b.bin"):
        file.write_bytes(b"\x82whatever")
        os.utime(file, (cut_at + 0.5, cut_at + 0.5))
    status = [file.stat() for file in half]
    run.artifacts.hurry(Cut(at=cut_at, open={(one.st_dev, one.st_ino) for one in status}))
    assert run.artifacts.look(final=True)
    assert run.names() == ["step-000002"]


def test_every_program_that_was_ended_counts_at_its_own_time(run: Run) -> None:
    cut_at = 1_762_077_580.0
    for name, written in (("step_1.msgpack", cut_at), ("step_2.msgpack", cut_at + 3), ("step_3.msgpack", cut_at + 6)):
        (run.out / name).write_bytes(b"\x82whatever")
        os.utime(run.out / name, (written, written))
    run.artifacts.hurry(Cut(at=cut_at))
    run.artifacts.hurry(Cut(at=cut_at + 6))
    assert run.artifacts.look(final=True)
    assert run.names() == ["step-000002"]


@pytest.mark.parametrize("earlier", [True, False])
def test_what_the_script_has_named_is_proven_however_short_before_a_kill(run: Run, earlier: bool) -> None:
    (run.out / "checkpoint-9").mkdir()
    named = [run.out / "model_8.msgpack", run.out / "checkpoint-9"]
    for file in (named[0], named[1] / "state.bin", run.out / "model_7.msgpack"):
        file.write_bytes(b"\x82whatever")
        os.utime(file, (1_099.0, 1_099.0))
    if earlier:  # and it could not be sent then
        run.store.refuses = "manifest"
        assert not run.artifacts.look(named=named)
        run.store.refuses = ""
    assert run.artifacts.look(final=True, killed_at=1_100.0, named=() if earlier else named)
    assert sorted(run.names()) == ["step-000008", "step-000009"]
    assert [list(run.manifest(name).unproven) for name in run.names()] == [[], []]
    assert [text for _, text in run.notices if "written to its end" in text] == [
        "model_7.msgpack was not written to its end, so it is not taken."
    ]


def test_what_was_written_anew_after_the_script_had_named_it_is_no_longer_proven(run: Run) -> None:
    file = run.out / "model_8.msgpack"
    for written, size in ((1_000.0, 900), (1_099.0, 400)):
        file.write_bytes(b"\x82" + b"x" * size)
        os.utime(file, (written, written))
        run.artifacts.look(named=[file] if size == 900 else ())
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert run.names() == ["step-000008"]
    assert [text for _, text in run.notices] == ["model_8.msgpack was not written to its end, so it is not taken."]


def test_what_may_be_half_is_called_safe_by_nobody(run: Run) -> None:
    (run.out / "model_7.msgpack").write_bytes(b"\x82whatever")
    os.utime(run.out / "model_7.msgpack", (1_099.0, 1_099.0))
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert run.artifacts.unsent().endswith("; no checkpoint is safe.")


def test_of_a_folder_that_may_be_half_every_file_is_in_doubt(run: Run) -> None:
    (run.out / "checkpoint-7").mkdir()
    for name in ("a.bin", "b.bin"):
        (run.out / "checkpoint-7" / name).write_bytes(b"weights")
        os.utime(run.out / "checkpoint-7" / name, (1_099.0, 1_099.0))
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert list(run.manifest("step-000007").unproven) == ["checkpoint-7/a.bin", "checkpoint-7/b.bin"]


def test_what_breaks_off_in_its_own_form_is_not_even_kept_alone(run: Run) -> None:
    (run.out / "last.pt").write_bytes(b"PK\x03\x04half")
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert (run.names(), [code for code, _ in run.notices]) == ([], ["checkpoint_half"])


def test_an_archive_of_weights_is_not_lost_with_what_was_cut_off_beside_it(run: Run) -> None:
    """Stable-Baselines writes a replay buffer of gigabytes after the policy."""
    with zipfile.ZipFile(run.out / "ppo_1000_steps.zip", "w") as out:
        out.writestr("policy.pth", b"weights")
    (run.out / "ppo_replay_buffer_1000_steps.pkl").write_bytes(b"\x80\x04half")
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert list(in_store(run).values()) == [["ppo_1000_steps.zip"]]


def test_a_small_file_beside_weights_needs_no_rest_before_a_kill(run: Run) -> None:
    saved(run, "model_7.pth", minute=1)
    (run.out / "last_checkpoint").write_text("model_7.pth")
    os.utime(run.out / "last_checkpoint", (1_099.0, 1_099.0))
    assert run.artifacts.look(final=True, killed_at=1_100.0)
    assert (list(in_store(run).values()), run.notices) == ([["model_7.pth", "last_checkpoint"]], [])

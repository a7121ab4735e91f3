"""Whole runs on a real machine of processes: what a script does, and what is then in the store."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.trainer.rented import JOB, Rented, until
from trainer import gpu, wire
from trainer.wire import CheckpointRule, EventKind, GpuNeed

# Writes a checkpoint as torch does, a zip, without torch.
SAVE = """
import os, zipfile
def save(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with zipfile.ZipFile(path + ".tmp", "w") as out:
        out.writestr("data", text)
    os.replace(path + ".tmp", path)
"""


def test_a_run_tells_its_progress_keeps_its_checkpoint_and_finishes(rented: Rented) -> None:
    script = SAVE + (
        "for step in range(1, 6):\n"
        "    print(f'step {step}/5: loss {5 - step * 0.5:.4f}, 12.0 ms')\n"
        "save('out/ckpt.pt', 'weights')\n"
    )
    rented.order({"train.py": script}, commands=["python train.py"])
    assert rented.run() == 0

    assert rented.stages() == ["check", "source", "run", "save", "done"]
    assert rented.series("loss")[0] == (1, 4.5)
    assert rented.series("loss")[-1] == (5, 2.5)
    assert rented.events(EventKind.PROGRESS)[-1].data["percent"] == 100.0
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["steps"]) == ("finished", 0, 5)
    assert rented.log().splitlines()[-1] == "step 5/5: loss 2.5000, 12.0 ms"

    ((name, manifest),) = rented.manifests().items()
    assert (name, manifest.step, [entry.path for entry in manifest.files]) == ("step-000005", 5, ["ckpt.pt"])
    saved = rented.store.get(f"jobs/{JOB}/a1/ckpt/{name}/ckpt.pt")
    assert saved is not None
    assert hashlib.sha256(saved).hexdigest() == manifest.files[0].sha256
    told = rented.events(EventKind.CHECKPOINT)[-1].data
    assert (told["name"], told["manifest"], told["removed"]) == (name, wire.manifest_key(JOB, 1, name), [])
    assert rented.children() == []


def test_a_script_that_fails_ends_with_its_code_and_its_last_lines(rented: Rented) -> None:
    rented.order({"train.py": "print('one'); raise SystemExit(3)"}, argv=["python", "train.py"])
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["tail"]) == ("error", 3, ["one"])


def test_a_script_that_prints_nothing_finishes(rented: Rented) -> None:
    rented.order({"train.py": ""}, argv=["python", "train.py"])
    assert rented.run() == 0
    assert rented.outcome()["tail"] == []
    assert rented.log() == ""


def test_numbers_without_a_name_have_the_one_that_the_script_calls_them(rented: Rented) -> None:
    script = "for it in range(4):\n    loss = 1 / (it + 1)\n    print(it, loss)\n"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    told = rented.series("loss")
    assert (told[0], told[-1]) == ((0, 1.0), (3, 0.25))


@pytest.mark.parametrize(
    "how", [{"argv": ["python", "train.py"]}, {"commands": ["bash run.sh"]}], ids=["argv", "shell"]
)
def test_the_script_that_the_command_runs_is_believed_before_others(rented: Rented, how: dict[str, list[str]]) -> None:
    script = "for it in range(4):\n    loss = 1 / (it + 1)\n    print(it, loss)\n"
    other = "for it in range(4):\n    print(it, accuracy)\n"
    rented.order({"a.py": other, "train.py": script, "run.sh": "exec python train.py"}, **how)
    assert rented.run() == 0
    assert rented.series("loss")[-1] == (3, 0.25)


STRANGE = "for n in range(1, 9): print(f'E{n // 4}b{n % 4} A<{1 / n:.3f}>')"


def test_lines_that_the_order_describes_are_read(rented: Rented) -> None:
    rented.order({"train.py": STRANGE}, argv=["python", "train.py"], progress=["E{epoch}b{batch} A<{loss}>"])
    assert rented.run() == 0
    assert rented.series("loss")[0] == (1, 1.0)
    assert rented.series("loss")[-1][1] == 0.125
    assert rented.notices() == {}


def test_lines_that_nothing_reads_are_told_with_what_would_read_them(rented: Rented) -> None:
    rented.order({"train.py": STRANGE}, argv=["python", "train.py"])
    assert rented.run() == 0
    assert rented.series("loss") == []
    assert rented.notices()["unread"].endswith("names of your choice: `progress: ['E{epoch}b{batch} A<{value}>']`")


def test_nan_is_told_as_what_it_is_and_noticed_once(rented: Rented) -> None:
    script = "for i in range(3): print(f'step {i}: loss nan')\nprint('step 3: loss inf')"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    assert rented.series("loss")[0] == (0, "NaN")
    assert rented.series("loss")[-1] == (3, "Infinity")
    assert rented.notices()["not_finite"] == "loss became NaN at step 0."
    assert len(rented.events(EventKind.NOTICE)) == 1


def test_half_a_checkpoint_is_never_manifested(rented: Rented) -> None:
    script = SAVE + (
        "save('out/whole.pt', 'weights' * 1000)\n"
        "data = open('out/whole.pt', 'rb').read()\n"
        "open('out/half.pt', 'wb').write(data[:len(data) // 2])\n"
    )
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    paths = [entry.path for manifest in rented.manifests().values() for entry in manifest.files]
    assert paths == ["whole.pt"]


def test_a_checkpoint_rewritten_in_place_gives_one_after_another_and_the_newest_are_kept(rented: Rented) -> None:
    script = SAVE + (
        "import sys, time\n"
        "for step in range(1, 5):\n"
        "    print(f'step {step}: loss 1.0')\n"
        "    save('out/ckpt.pt', f'weights {step}')\n"
        "    sys.stdin.read()\n"
        "    while not os.path.exists(f'go{step}'): time.sleep(0.01)\n"
    )
    rented.order({"train.py": script}, argv=["python", "train.py"])
    rented.start()
    source = rented.scratch / "source"
    for step in range(1, 5):
        until(lambda step=step: f"step-{step:06d}" in rented.manifests())
        (source / f"go{step}").touch()
    assert rented.wait() == 0
    assert list(rented.manifests()) == ["step-000003", "step-000004"]
    removed = [name for event in rented.events(EventKind.CHECKPOINT) for name in event.data["removed"]]
    assert removed == ["step-000001", "step-000002"]
    assert [key for key in rented.store.keys(f"jobs/{JOB}/a1/ckpt") if "000001" in key] == []


def test_lines_of_one_shell_hold_for_those_after_them_and_end_at_the_first_that_fails(rented: Rented) -> None:
    rented.order({"deep/x": ""}, commands=["cd deep", "export WORD=kept", "pwd; echo $WORD", "false", "echo never"])
    assert rented.run() == 1
    lines = rented.log().splitlines()
    assert (Path(lines[0]).name, lines[1:]) == ("deep", ["kept"])
    assert rented.outcome()["code"] == 1


def test_an_argument_list_meets_no_shell(rented: Rented) -> None:
    words = ["$HOME", "; touch owned", "`id`", "a  b"]
    rented.order({"show.py": "import sys, json; print(json.dumps(sys.argv[1:]))"}, argv=["python", "show.py", *words])
    assert rented.run() == 0
    assert json.loads(rented.log()) == words
    assert not (rented.scratch / "source" / "owned").exists()


def test_a_command_that_is_not_there_says_so(rented: Rented) -> None:
    rented.order({}, argv=["no-such-program", "--help"])
    assert rented.run() == 1
    outcome = rented.outcome()
    assert outcome["code"] == 127
    assert "'no-such-program' could not be started" in outcome["tail"][-1]


def test_setup_comes_first_and_its_failure_has_a_name(rented: Rented) -> None:
    rented.order({}, setup=["echo preparing", "exit 4"], commands=["echo never"])
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["tail"]) == ("setup_failed", 4, ["preparing"])
    assert rented.stages() == ["check", "source", "setup", "done"]


def test_what_the_repository_brought_is_no_checkpoint_of_this_run(rented: Rented) -> None:
    rented.order({"out/pretrained.bin": b"weights", "train.py": ""}, argv=["python", "train.py"])
    assert rented.run() == 0
    assert rented.manifests() == {}


def test_the_environment_is_the_orders_and_holds_no_key_to_the_store(rented: Rented) -> None:
    rented.order(
        {"env.py": "import os, json; print(json.dumps(dict(os.environ)))"},
        argv=["python", "env.py"],
        env={"LR": "3e-4"},
    )
    secret = "wandb-0123456789"
    assert rented.run(HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY="k", WANDB=secret, HOURGLASS_SECRETS="WANDB,LR") == 0
    env = json.loads(rented.log())
    assert (env["LR"], env["PYTHONUNBUFFERED"], env["WANDB"]) == ("3e-4", "1", "[WANDB]")
    assert not [name for name in env if name.startswith("HOURGLASS_STORE")]
    assert secret not in rented.log()
    assert [path.name for path in Path(env["PYTHONPATH"]).iterdir() if path.name != "__pycache__"] == ["hourglass.py"]


def test_a_script_may_have_a_trainer_of_its_own(rented: Rented) -> None:
    rented.order(
        {"trainer.py": "WHO = 'ours'", "train.py": "import trainer; print(trainer.WHO)"}, argv=["python", "train.py"]
    )
    assert rented.run() == 0
    assert rented.log() == "ours\n"


def test_without_a_module_of_the_name_trainer_there_is_none(rented: Rented) -> None:
    rented.order({"train.py": "import trainer"}, argv=["python", "-S", "train.py"])
    assert rented.run() == 1
    assert "No module named 'trainer'" in rented.outcome()["tail"][-1]


def test_a_gpu_that_is_paid_for_and_not_there_ends_it_before_the_source_is_touched(rented: Rented) -> None:
    need = GpuNeed(name="z9000", count=1, memory_gb=80, required=True)  # none is called that, anywhere
    rented.order({"train.py": "print('ran')"}, argv=["python", "train.py"], gpu=need)
    assert rented.run(PATH="/nowhere") == 1
    outcome = rented.outcome()
    assert outcome["reason"] == "no_gpu"
    assert outcome["tail"][0].startswith("1 × z9000 with 80 GB was asked for; the driver shows ")
    assert rented.stages() == ["check", "done"]


def test_a_source_that_is_not_what_the_order_says_is_not_run(rented: Rented) -> None:
    rented.order({"train.py": "print('ran')"}, argv=["python", "train.py"], source_sha256="0" * 64)
    assert rented.run() == 1
    outcome = rented.outcome()
    assert outcome["reason"] == "bad_source"
    assert re.search(r"sha256 [0-9a-f]{64}, not 0{64}", outcome["tail"][-1])
    assert not (rented.scratch / "source").exists()


def test_an_order_that_is_not_there_or_not_one_has_a_name(rented: Rented) -> None:
    rented.order({}, commands=["true"])
    rented.store.put(wire.order_key(JOB, 1), b"{]")
    assert rented.run() == 1
    assert rented.outcome()["reason"] == "bad_spec"


def test_a_checkpoint_path_that_leads_out_is_refused(rented: Rented) -> None:
    rented.order({}, commands=["true"], checkpoints=CheckpointRule(path="../../elsewhere", upload_every=1, keep=2))
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], "'../../elsewhere' leads out" in outcome["tail"][-1]) == ("bad_spec", True)


def test_a_machine_goes_on_where_another_stopped(rented: Rented) -> None:
    script = SAVE + (
        "import hourglass\n"
        "folder = hourglass.resume()\n"
        "print('from', folder and sorted(p.name for p in folder.iterdir()), os.path.exists('out/checkpoint-7/a.pt'))\n"
        "print('step 7: loss 1.0')\n"
        "save('out/checkpoint-7/a.pt', 'weights')\n"
    )
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    (name,) = rented.manifests()
    assert name == "step-000007"
    resume_key = wire.checkpoint_prefix(JOB, 1, name)
    again = Rented(rented.scratch.parent / "again", rented.archive)
    for key in rented.store.keys(resume_key):
        again.store.put(key, rented.store.get(key) or b"")
    again.order({"train.py": script}, argv=["python", "train.py"], resume_key=resume_key)
    assert again.run() == 0
    assert again.log().splitlines()[:2] == [
        "hourglass: resumed from step 7; its files are in place.",
        "from ['a.pt'] True",
    ]
    (running,) = [event.data for event in again.events(EventKind.STAGE) if event.data["stage"] == "run"]
    assert running["note"] == "resumed from step 7"
    assert running["resumed"] == {"name": "step-000007", "step": 7}


def test_a_checkpoint_to_go_on_from_that_is_not_whole_ends_it(rented: Rented) -> None:
    rented.order({}, commands=["true"], resume_key=wire.checkpoint_prefix(JOB, 1, "step-000001"))
    assert rented.run() == 1
    assert rented.outcome()["reason"] == "bad_source"


def test_a_variable_that_is_missing_is_named_on_the_console(rented: Rented) -> None:
    rented.order({}, commands=["true"])
    rented.start(HOURGLASS_DEADLINE="tomorrow")
    assert rented.process is not None
    _, said = rented.process.communicate(timeout=20)
    assert rented.process.returncode == 78
    assert b"HOURGLASS_DEADLINE='tomorrow' is not a time" in said


def test_a_temporary_work_folder_is_gone_afterwards(rented: Rented, tmp_path: Path) -> None:
    rented.order({}, commands=["true"])
    (tmp_path / "t").mkdir()
    assert rented.run(HOURGLASS_WORKDIR="", TMPDIR=str(tmp_path / "t")) == 0
    assert list((tmp_path / "t").iterdir()) == []


def test_a_gpu_that_the_driver_shows_is_told_and_torchs_view_never_holds_up_the_run(rented: Rented) -> None:
    if gpu.look() is not None:
        pytest.skip("this machine has a driver of its own, which is asked before the tool")
    tools = rented.scratch.parent / "tools"
    tools.mkdir()
    # Stands in for a driver's own tool, on a machine that has none.
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-80GB, 81920, 550.54.15'\n")
    # An image's Python that takes for ever to look at its torch.
    (tools / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)
    need = GpuNeed(name="a100", count=1, memory_gb=80, required=True)
    rented.order({}, commands=["echo trained"], gpu=need)
    assert rented.run(PATH=f"{tools}:/usr/bin:/bin") == 0
    assert rented.log() == "trained\n"
    (told,) = [event.data for event in rented.events(EventKind.GPU)]
    assert (told["name"], told["count"], told["driver"]) == ("NVIDIA A100-SXM4-80GB", 1, "550.54.15")


def test_a_stand_in_without_the_gpu_only_reports(rented: Rented) -> None:
    need = GpuNeed(name="a100", count=1, memory_gb=80, required=False)
    rented.order({}, commands=["echo trained"], gpu=need)
    assert rented.run() == 0
    assert rented.outcome()["reason"] == "finished"


def test_a_script_that_runs_out_of_gpu_memory_says_so(rented: Rented) -> None:
    script = "raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB.')"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 1
    assert rented.outcome()["reason"] == "gpu_oom"


def test_a_full_gpu_is_told_though_what_a_launcher_says_of_it_is_longer_than_the_tail(rented: Rented) -> None:
    said = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB."
    script = f"print({said!r})\nfor n in range(200): print('  rank :', n)\nraise SystemExit(1)"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["memory"]) == ("gpu_oom", said)


def test_what_a_setup_said_of_memory_is_not_why_the_command_ended(rented: Rented) -> None:
    setup = ["echo 'RuntimeError: CUDA out of memory.'"]
    rented.order({"train.py": "raise SystemExit(1)"}, setup=setup, argv=["python", "train.py"])
    assert rented.run() == 1
    assert (rented.outcome()["reason"], rented.outcome()["memory"]) == ("error", None)


def test_each_path_that_cannot_be_taken_is_a_thing_of_its_own(rented: Rented) -> None:
    script = "import hourglass\nfor name in ('/etc/a.pt', '/etc/b.pt', '/etc/a.pt'):\n    hourglass.save(name)\n"
    rented.order({"train.py": script}, argv=["python", "train.py"])
    assert rented.run() == 0
    told = [event.data for event in rented.events(EventKind.NOTICE)]
    assert [data["text"].split(",")[0].split(" ")[0] for data in told] == ["a.pt", "b.pt"]
    assert len({data["part"] for data in told}) == 2

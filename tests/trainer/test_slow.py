"""The expensive ones: a hundred megabytes of output, and a real training with torch."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

import bot.demo
from tests.support import torches
from tests.trainer.rented import JOB, Rented, until
from trainer.wire import EventKind, Reason

CHARGPT = Path(next(iter(bot.demo.__path__))) / "chargpt"


def resident_kb(pid: int) -> int:
    """Return the memory that the process holds, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


@pytest.mark.slow
@pytest.mark.timeout(400)  # real work on a machine that others may be using too
def test_a_hundred_megabytes_of_output_do_not_fill_the_memory_or_the_store(rented: Rented) -> None:
    script = (
        "import sys\n"
        "line = 'a line of output that says nothing of use, as many do, ' * 9 + 'number %09d\\n'\n"
        "size = n = 0\n"
        "while size < 100_000_000:\n"
        "    n += 1\n"
        "    size += sys.stdout.write(line % n)\n"
        "print('step 1: loss 1.0')\n"
    )
    rented.order(
        {"train.py": script}, argv=["python", "-X", "utf8", "train.py"], env={"PYTHONUNBUFFERED": ""}, seconds=380
    )
    rented.start()
    assert rented.process is not None
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.25):
            for pid in rented.children():
                name = Path(f"/proc/{pid}/cmdline")
                if name.exists() and b"agent" in name.read_bytes():
                    most = max(most, resident_kb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert rented.wait(limit=350.0) == 0
    finally:
        done.set()
        watcher.join()
    assert 0 < most < 120_000
    log = rented.log()
    assert len(log) > 100_000_000
    packed = sum(len(rented.store.get(key) or b"") for key in rented.store.keys(f"jobs/{JOB}/a1/log"))
    assert packed < 10_000_000
    assert log.endswith("step 1: loss 1.0\n")
    assert rented.outcome()["reason"] == "finished"


@pytest.mark.slow
@torches.ONE_WORKER
@pytest.mark.timeout(400)  # as above
def test_the_demos_training_learns_saves_and_goes_on(rented: Rented, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="install it with: pip install torch==2.13.0")
    files = {path.name: path.read_bytes() for path in CHARGPT.iterdir() if path.is_file()}
    rented.order(files, commands=["python train.py --steps 8 --save-every 4"], seconds=380)
    assert rented.run(limit=350.0) == 0
    losses = [value for _, value in rented.series("loss")]
    assert losses[0] > 4.0 > losses[-1]
    assert rented.events(EventKind.PROGRESS)[-1].data["total"] == 8

    (manifest,) = [one for one in rented.manifests().values() if one.step == 8]
    data = rented.store.get(f"jobs/{JOB}/a1/ckpt/{manifest.name}/ckpt-000008.pt") or b""
    assert hashlib.sha256(data).hexdigest() == manifest.files[0].sha256
    (tmp_path / "ckpt.pt").write_bytes(data)
    state = torch.load(tmp_path / "ckpt.pt", weights_only=True)
    assert (state["step"], sum(value.numel() for value in state["model"].values()) > 500_000) == (8, True)

    prefix = f"jobs/{JOB}/a1/ckpt/{manifest.name}"
    again = Rented(tmp_path / "again", rented.archive)
    for key in rented.store.keys(prefix):
        again.store.put(key, rented.store.get(key) or b"")
    try:
        again.order(files, commands=["python train.py --steps 400"], seconds=380, resume_key=prefix)
        again.start()
        until(lambda: again.series("loss"), limit=200.0)
        again.tell(stop=Reason.STOPPED)
        assert again.wait(limit=200.0) == 1
        assert again.outcome()["reason"] == "stopped"
        assert again.log().splitlines()[1] == "resuming from out/ckpt-000008.pt at step 8"
        steps = [step for step, _ in again.series("loss")]
        assert steps[0] == 9
        assert list(again.manifests().values())[-1].step == steps[-1]
    finally:
        again.close()

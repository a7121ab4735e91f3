"""`import hourglass`: from a script to the agent and back, and nothing at all outside."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.rented import Rented, until
from trainer import api
from trainer.deadline import boot_clock
from trainer.inbox import Inbox
from trainer.progress import Progress
from trainer.wire import EventKind, Reason


def script(text: str, env: Mapping[str, str]) -> str:
    """Run `text` as a script that has `hourglass`; return what it printed."""
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {env['WHERE']!r})\nimport hourglass\n{text}"],
        env={"PATH": "", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout


def module(folder: Path) -> str:
    (folder / "module").mkdir()
    (folder / "module" / "hourglass.py").write_bytes(Path(api.__file__).read_bytes())
    return str(folder / "module")


EVERYTHING = """
hourglass.report(1, total=10, loss=0.5)
hourglass.save("out/ckpt.pt")
print(hourglass.resume(), hourglass.time_left(), hourglass.should_stop())
"""


def test_outside_it_does_nothing_quietly(tmp_path: Path) -> None:
    assert script(EVERYTHING, {"WHERE": module(tmp_path)}) == "None None False\n"


def test_with_an_agent_that_is_gone_it_does_nothing_quietly(tmp_path: Path) -> None:
    env = {
        "WHERE": module(tmp_path),
        "HOURGLASS_SOCKET": str(tmp_path / "gone"),
        "HOURGLASS_RESUME": str(tmp_path / "x"),
    }
    assert script(EVERYTHING, env) == "None None False\n"


def test_what_is_reported_arrives_and_what_is_asked_is_answered(tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    inbox = Inbox(tmp_path / "run", take=heard.append)
    inbox.publish(ends=boot_clock() + 100.0, stop=None)
    text = (
        "class Tensor:\n    def __float__(self): return 2.5\n"
        "hourglass.report(3, total=10, loss=Tensor(), acc='0.5', none=None, word='x', nan=float('nan'))\n"
        "hourglass.report('three')\n"
        "hourglass.save('out/ckpt.pt')\n"
        "print(round(hourglass.time_left()), hourglass.should_stop())\n"
    )
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)}
    assert script(text, env) in ("100 False\n", "99 False\n")
    inbox.publish(ends=boot_clock() - 1.0, stop="deadline")
    assert script("print(hourglass.time_left(), hourglass.should_stop())", env) == "0.0 True\n"
    assert script("hourglass.report(1, loss=1.0)", {**env, "RANK": "1"}) == ""
    inbox.close()
    report, saved = heard
    assert (report["step"], report["total"]) == (3, 10)
    assert json.dumps(report["values"]) == '{"loss": 2.5, "acc": 0.5, "nan": NaN}'
    assert saved["save"].endswith("/out/ckpt.pt")


UNUSUAL = """
class Meter:
    sum = count = 0
    def __float__(self): return self.sum / self.count
class Wild:
    def __float__(self): raise KeyError("what a library of somebody's may raise")
    def __fspath__(self): raise KeyError("and here")
hourglass.report(1, loss=Meter(), acc=0.5, wild=Wild(), huge=10**400)
hourglass.report(2, **{"step": 7, "loss": 2.0})
hourglass.report(3, **{"total": 2.3, "cls": 0.1})
hourglass.report(3, **{"total": 2.0, "cls": 0.1})
hourglass.report(4, total=1e2, loss=1.0)
hourglass.report(5, 10, 2.0, loss=1.0)
hourglass.report(6, {"loss": 1.0, "bad": None, 3: 4.0})
hourglass.report(6, 10, {"acc": 1.0})
hourglass.report(step=7, total=10, loss=1.0)
hourglass.report(loss=3.0)
hourglass.report("eight", loss=4.0)
hourglass.report(9, total=Wild(), loss=5.0)
hourglass.report()
hourglass.report(10, 2.5)
hourglass.report(11, {"step": 7, "total": 50, "loss": 1.0})
hourglass.report(12, {"total": 1.5, "loss": 1.0}, total=None)
for path in (None, 3, b"out", Wild()):
    hourglass.save(path)
assert hourglass.resume() is None
"""


def test_whatever_is_reported_nothing_raises_and_what_can_be_told_is_told(tmp_path: Path) -> None:
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(tmp_path / "gone"), "HOURGLASS_RESUME": "a" * 5_000}
    # Each by itself: what is held back for a moment would be put together with the next.
    shown = "import json\nhourglass._line.hold = lambda message, at_once: print(json.dumps(message))\n"
    heard = [json.loads(line) for line in script(shown + UNUSUAL, env).splitlines()]
    assert [(one["step"], one["total"], one["values"]) for one in heard] == [
        (1, None, {"acc": 0.5}),
        (2, None, {"loss": 2.0}),
        (3, None, {"total": 2.3, "cls": 0.1}),
        (3, None, {"total": 2.0, "cls": 0.1}),  # a run at its third step has no two
        (4, 100, {"loss": 1.0}),
        (5, 10, {"loss": 1.0}),
        (6, None, {"loss": 1.0, "3": 4.0}),
        (6, 10, {"acc": 1.0}),
        (7, 10, {"loss": 1.0}),
        (None, None, {"loss": 3.0}),
        (None, None, {"loss": 4.0}),
        (9, None, {"loss": 5.0}),
        (10, None, {}),
        (11, 50, {"loss": 1.0}),
        (12, None, {"total": 1.5, "loss": 1.0}),
    ]


INTERRUPTED = """
import signal
class Stop(Exception): pass
class Script:
    def asked(self, number, frame): raise Stop
class Slow:  # as a tensor is, whose number the GPU still computes
    def __float__(self): return signal.raise_signal(signal.SIGUSR1) or 1.0
    def __fspath__(self): return signal.raise_signal(signal.SIGUSR1) or "out"
    __int__ = __index__ = lambda self: int(float(self))
signal.signal(signal.SIGUSR1, Script().asked)
for call in (
    lambda: hourglass.report(1, loss=Slow()),
    lambda: hourglass.report(Slow(), loss=1.0),
    lambda: hourglass.report(1, total=Slow()),
    lambda: hourglass.save(Slow()),
):
    try:
        call()
    except Stop:
        print("stopped")
"""


def test_what_a_scripts_own_handler_raises_in_the_midst_of_a_call_is_not_swallowed(tmp_path: Path) -> None:
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(tmp_path / "gone")}
    assert script(INTERRUPTED, env) == "stopped\n" * 4


SPEAKS = """
import os, sys, types
said = os.environ.get("GROUP", "")
if said:
    group = types.ModuleType("torch.distributed")
    group.is_initialized = lambda: True
    group.get_rank = lambda: int(said)
    sys.modules["torch.distributed"] = group
os.environ.update(dict(word.split("=") for word in os.environ.get("LATER", "").split()))
hourglass.report(1, loss=1.0)
hourglass.save("out/ckpt.pt")
if said:
    group.is_initialized = lambda: False  # destroyed, as tutorials end
    hourglass.save("out/last.pt")
"""


@pytest.mark.parametrize(
    ("env", "speaks"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "8"}, True),
        ({"RANK": "1", "LOCAL_RANK": "1"}, False),
        ({"RANK": "0", "SLURM_PROCID": "1"}, True),  # whoever says RANK numbers the run's own processes
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "4"}, False),  # Lightning's own launcher
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"RANK": "-1", "LOCAL_RANK": "-1", "SLURM_PROCID": ""}, True),  # of nobody's group, as Transformers has it
        ({"SLURM_PROCID": "1"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False),  # Lightning's, in a shell that Slurm gave
        ({"OMPI_COMM_WORLD_RANK": "2"}, False),
        ({"PMI_RANK": "1"}, False),
        ({"LATER": "RANK=3"}, False),  # torch.multiprocessing.spawn: the script says it, after its imports
        ({"GROUP": "2"}, False),  # and to init_process_group alone
        ({"GROUP": "0", "LOCAL_RANK": "1"}, True),
    ],
)
def test_of_several_processes_the_first_one_speaks(tmp_path: Path, env: Mapping[str, str], speaks: bool) -> None:
    heard: list[Mapping[str, Any]] = []
    inbox = Inbox(tmp_path / "run", take=heard.append)
    script(SPEAKS, {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address), **env})
    inbox.close()
    assert ["save" in message for message in heard] == ([False, True, *("GROUP" in env) * [True]] if speaks else [])


PACED = """
import os, signal
for step in range(1000):
    hourglass.report(step, loss=1.0)
hourglass.report(999, acc=0.5)
hourglass.report(1000, val_loss=2.0)
hourglass.report(1001, loss=0.9)
hourglass.save("out/ckpt.pt")
hourglass.report(1002, loss=0.8)
if os.fork() == 0:  # what its parent has not sent is not its own
    os._exit(0)
"""


def test_fast_reports_are_held_to_a_pace_and_the_newest_of_each_name_is_never_lost(tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    inbox = Inbox(tmp_path / "run", take=heard.append)
    script(PACED, {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)})
    inbox.close()
    assert len(heard) < 200
    told = [(message["step"], name, value) for message in heard for name, value in message.get("values", {}).items()]
    assert told.count((1002, "loss", 0.8)) == 1
    assert [one for one in told if one[0] in (999, 1000, 1001)] == [
        (999, "loss", 1.0), (999, "acc", 0.5), (1000, "val_loss", 2.0), (1001, "loss", 0.9),
    ]  # fmt: skip
    assert ["save" in message for message in heard[-2:]] == [True, False]


def test_a_loss_that_is_no_number_is_told_at_once_and_is_never_written_over(tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    inbox = Inbox(tmp_path / "run", take=heard.append)
    text = "for loss in (1.0, float('nan'), 2.0): hourglass.report(1, loss=loss)"
    script(text, {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)})
    inbox.close()
    assert [json.dumps(message["values"]["loss"]) for message in heard] == ["NaN", "2.0"]


def test_a_flood_of_reports_blocks_nobody_when_nobody_listens(tmp_path: Path) -> None:
    held: list[object] = []
    release = __import__("threading").Event()
    inbox = Inbox(tmp_path / "run", take=lambda message: held.append(release.wait(20.0)))
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)}
    began = time.monotonic()
    script("for step in range(20_000): hourglass.report(step, loss=1.0)", env)
    assert time.monotonic() - began < 15.0
    release.set()
    inbox.close()
    assert held


def test_what_is_no_report_is_left_alone(tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    progress = Progress(tell=lambda kind, data: None)

    def take(message: Mapping[str, Any]) -> None:
        progress.reported(message)
        heard.append(message)

    inbox = Inbox(tmp_path / "run", take=take)
    text = (
        "import socket, os\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "huge = b'{\"step\": 1, \"values\": {\"loss\": 1' + 400 * b'0' + b'}}'\n"
        "for data in (b'', b'{', b'[]', b'\\xff', 60_000 * b'[', huge, b'{\"step\": 1}'):\n"
        "    s.sendto(data, os.environ['HOURGLASS_SOCKET'])\n"
    )
    script(text, {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)})
    inbox.close()
    assert heard == [{"step": 1}]


def test_a_folder_too_deep_for_a_socket_is_replaced_by_one_that_is_not(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / ("d" * 120), take=lambda message: None)
    address = inbox.address
    assert len(str(address)) < 100
    assert address.is_socket()
    inbox.close()
    assert not address.parent.exists()


ASKS_ITSELF = """
import os, signal, time
asked = hourglass.should_stop()
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    while True:  # a signal that came just before a pause would be slept through
        time.sleep(0.01)
_, status = os.waitpid(pid, 0)
os.kill(os.getpid(), signal.SIGTERM)
print(asked, hourglass.should_stop(), os.waitstatus_to_exitcode(status))
"""


def test_sigterm_is_a_wish_for_who_asks_and_still_ends_a_forked_worker(tmp_path: Path) -> None:
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(tmp_path / "gone")}
    assert script(ASKS_ITSELF, env) == "False True -15\n"


def test_a_handler_of_the_scripts_own_stays(tmp_path: Path) -> None:
    env = {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(tmp_path / "gone")}
    text = (
        "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: print('own'))\n"
        "hourglass.should_stop()\nos.kill(os.getpid(), signal.SIGTERM)\nprint(hourglass.should_stop())"
    )
    assert script(text, env) == "own\nFalse\n"


def test_a_report_is_cheap(tmp_path: Path) -> None:
    text = (
        "import time\nn = 2000\nbest = 1.0\n"
        "for _ in range(5):\n"
        "    began = time.process_time()\n"
        "    for step in range(n): hourglass.should_stop(), hourglass.report(step, loss=1.0)\n"
        "    best = min(best, (time.process_time() - began) / n)\n"
        "print(best)\n"
    )
    inbox = Inbox(tmp_path / "run", take=lambda message: None)
    took = float(script(text, {"WHERE": module(tmp_path), "HOURGLASS_SOCKET": str(inbox.address)}))
    inbox.close()
    assert took < 500e-6  # of its own time, so that a busy machine does not count


def test_the_module_is_one_file_that_needs_nothing_of_ours(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("hourglass", Path(module(tmp_path)) / "hourglass.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert loaded.__all__ == ["report", "resume", "save", "should_stop", "time_left"]


def test_on_a_machine_reports_win_over_what_is_printed_and_a_saved_file_is_taken_at_once(rented: Rented) -> None:
    text = (
        "import hourglass, os, time\n"
        "os.makedirs('out')\n"
        "hourglass.report(1, total=4, loss=2.0)\n"
        "open('out/weights.dat', 'wb').write(b'weights')\n"
        "hourglass.save('out/weights.dat')\n"
        "while not hourglass.should_stop(): time.sleep(0.02)\n"
        "print('step 9: loss 9.0')\n"
        "print('left', hourglass.time_left() > 10)\n"
    )
    rented.order({"train.py": text}, argv=["python", "train.py"])
    rented.start()
    until(rented.manifests)
    rented.tell(stop=Reason.STOPPED)
    rented.wait()
    assert rented.series("loss") == [(1, 2.0)]
    assert rented.events(EventKind.PROGRESS)[-1].data["percent"] == 25.0
    assert list(rented.manifests()) == ["weights.dat-000001"]
    assert rented.log().splitlines()[-1] == "left True"

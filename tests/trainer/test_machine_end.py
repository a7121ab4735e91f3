"""How a machine ends: asked, out of time, ignored, frozen or left by its agent; and that nothing stays behind."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.trainer.conftest import CREDENTIALS
from tests.trainer.rented import JOB, Rented, until
from trainer import wire
from trainer.archive import build
from trainer.storage import open_store
from trainer.wire import CheckpointRule, EventKind, FileEntry, Manifest, Reason, to_json

SLACK = 5.0  # seconds after which a process that has ended is seen to have, on a busy machine
# Saves when it is asked to stop, as chargpt does.
POLITE = """
import os, signal, sys, time, zipfile
def leave(*_):
    os.makedirs("out", exist_ok=True)
    with zipfile.ZipFile("out/last.tmp", "w") as out:
        out.writestr("data", "weights")
    os.replace("out/last.tmp", "out/last.pt")
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.05)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.05)
"""
# Leaves its group, its session and its parent, and shrugs at every signal that can be shrugged at.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        open("daemon", "w").write(str(os.getpid()))
        while True:
            time.sleep(1)
    os._exit(0)
while not os.path.exists("daemon") or not open("daemon").read():
    time.sleep(0.01)
"""


def running(pid: int) -> bool:
    """Return whether the process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_stop_by_the_control_file_saves_and_says_who_asked(rented: Rented) -> None:
    rented.order({"train.py": POLITE}, argv=["python", "train.py"])
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["tail"][-1]) == ("stopped", 0, "saved")
    assert rented.stages() == ["check", "source", "run", "save", "done"]
    assert list(rented.manifests()) == ["step-000001"]


# Saves when it is asked to stop, and goes on until it is allowed to leave.
LINGERING = """
import os, signal, time, zipfile
def save(*_):
    with zipfile.ZipFile("out/step_2.tmp", "w") as out:
        out.writestr("data", "weights")
    os.replace("out/step_2.tmp", "out/step_2.pt")
signal.signal(signal.SIGTERM, save)
os.mkdir("out")
with zipfile.ZipFile("out/step_1.pt", "w") as out:
    out.writestr("data", "weights")
while not os.path.exists("go"):
    time.sleep(0.05)
"""
# Begins to save when it is asked to stop, in a form that has no end to look for, and does not come to it.
ENDLESS = """
import os, signal, time
def save(*_):
    os.mkdir("out")
    with open("out/last.bin", "wb") as out:
        while True:
            out.write(b"weights" * 1000)
            out.flush()
            time.sleep(0.05)
signal.signal(signal.SIGTERM, save)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.05)
"""


def test_what_is_saved_when_asked_is_sent_while_the_script_goes_on(rented: Rented) -> None:
    rule = CheckpointRule(path="out", upload_every=600.0, keep=2)
    rented.order({"train.py": LINGERING}, argv=["python", "train.py"], checkpoints=rule, seconds=300.0, grace=60.0)
    rented.start()
    until(lambda: "step-000001" in rented.manifests())
    rented.tell(stop=Reason.STOPPED)
    until(lambda: "step-000002" in rented.manifests())
    (rented.scratch / "source" / "go").touch()
    assert rented.wait() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["signal"]) == ("stopped", 0, None)  # and was not killed first


def test_what_was_being_written_at_the_kill_is_marked_where_there_is_nothing_else(rented: Rented) -> None:
    rented.order({"train.py": ENDLESS}, argv=["python", "train.py"])
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert rented.outcome()["signal"] == signal.SIGKILL
    assert [one.unproven for one in rented.manifests().values()] == [("last.bin",)]
    assert rented.notices()["checkpoint_half"] == (
        "last.bin may not have been written to its end. It is kept, since nothing else is, and marked as unproven."
    )


# Saves in that form over and over, and ends where it is when it is asked to stop.
CUT = """
import os, time
os.mkdir("out")
with open("out/first.bin", "wb") as out:
    out.write(b"weights")
os.utime("out/first.bin", (1_700_000_000, 1_700_000_000))
with open("out/last.bin", "wb") as out:
    print("step 1: loss 2.0", flush=True)
    while True:
        out.write(b"weights" * 1000)
        out.flush()
        time.sleep(0.05)
"""
# Saves when it is asked to stop, in that form, and leaves.
DONE = """
import os, signal, sys, time
def leave(*_):
    os.mkdir("out")
    with open("out/last.bin", "wb") as out:
        out.write(b"weights")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("step 1: loss 2.0", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    "commands", [["python train.py"], ["sh run.sh"], ["python train.py | cat"], ["timeout 60 python train.py"]]
)
def test_of_what_a_signal_cut_off_under_a_shell_nothing_is_taken_either(rented: Rented, commands: list[str]) -> None:
    rented.order({"train.py": CUT, "run.sh": "python train.py\n"}, commands=commands)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert list(rented.manifests()) == ["first"]
    assert rented.notices()["checkpoint_half"] == "last.bin was not written to its end, so it is not taken."


# Goes on until it is allowed to leave, whoever asks.
WAITING = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: None)
while not os.path.exists("go"):
    time.sleep(0.05)
"""


def test_what_a_signal_cut_off_is_not_taken_while_others_of_the_command_live_on(rented: Rented) -> None:
    files = {"train.py": CUT, "other.py": WAITING}
    rented.order(files, commands=["python other.py & python train.py; wait"], seconds=300.0, grace=60.0)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    cut = rented.scratch / "source" / "out" / "last.bin"
    until(lambda: time.time() - cut.stat().st_mtime > 4.0)  # by now it would be taken for one that rests
    (rented.scratch / "source" / "go").touch()
    assert rented.wait() == 1
    assert list(rented.manifests()) == ["first"]
    assert rented.notices()["checkpoint_half"] == "last.bin was not written to its end, so it is not taken."


@pytest.mark.parametrize("commands", [["python train.py"], ["sleep 1000 & python train.py"]])
def test_what_a_script_saved_before_it_left_is_taken_under_a_shell_too(rented: Rented, commands: list[str]) -> None:
    rented.order({"train.py": DONE}, commands=commands)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert [one.unproven for one in rented.manifests().values()] == [()]
    assert "checkpoint_half" not in rented.notices()


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(rented: Rented) -> None:
    rented.order({"train.py": STUBBORN}, commands=["python train.py"], grace=2.0)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["signal"]) == ("stopped", 9)
    assert rented.children() == []


def test_the_deadline_is_met_with_the_last_checkpoint_and_the_outcome(rented: Rented) -> None:
    rented.order({"train.py": POLITE}, argv=["python", "train.py"], seconds=9.0, grace=5.0)
    assert rented.run() == 1
    assert time.time() < rented.deadline + SLACK
    assert rented.outcome()["reason"] == "deadline"
    saved = rented.events(EventKind.CHECKPOINT)[-1]
    asked = next(event for event in rented.events(EventKind.STAGE) if event.data["stage"] == "save")
    assert rented.deadline - 5.1 < asked.t < saved.t < rented.deadline
    assert asked.data["note"] == "deadline"


def test_a_stubborn_script_does_not_outlive_the_deadline_and_the_outcome_is_told_before_it(rented: Rented) -> None:
    rented.order({"train.py": STUBBORN}, argv=["python", "train.py"], seconds=9.0, grace=5.0)
    assert rented.run() == 1
    assert time.time() < rented.deadline + SLACK
    assert rented.outcome()["reason"] == "deadline"
    assert rented.events()[-1].t < rented.deadline


def test_a_deadline_moved_later_is_kept_by_agent_and_init(rented: Rented) -> None:
    rented.order({"train.py": STUBBORN}, argv=["python", "train.py"], seconds=16.0, grace=6.0)
    first = rented.deadline
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(deadline=first + 3.0)
    assert rented.wait() == 1
    assert first < time.time()  # killed 1.5 s before the later of the two
    assert rented.outcome()["reason"] == "deadline"


def test_a_deadline_moved_earlier_ends_it_earlier(rented: Rented) -> None:
    rented.order({"train.py": STUBBORN}, argv=["python", "train.py"], seconds=60.0, grace=1.0)
    rented.start()
    until(lambda: rented.series("loss"))
    rented.tell(deadline=time.time() + 2.0)
    assert rented.wait(limit=30.0) in (1, 124)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b'{"seq":9,"deadline":1e999,"stop":null}', b'{"seq":"9"}'])
def test_a_control_file_that_is_none_moves_and_stops_nothing(rented: Rented, garbage: bytes) -> None:
    rented.order({"train.py": POLITE}, argv=["python", "train.py"])
    rented.store.put(wire.control_key(JOB, 1), garbage)
    rented.start()
    until(lambda: rented.series("loss") and "control_unreadable" in rented.notices())
    assert rented.process is not None
    assert rented.process.poll() is None
    rented.tell(seq=1, stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert rented.outcome()["reason"] == "stopped"


def test_sigterm_is_a_preemption_that_saves(rented: Rented) -> None:
    rented.order({"train.py": POLITE}, argv=["python", "train.py"])
    rented.start()
    until(lambda: rented.series("loss"))
    assert rented.process is not None
    rented.process.terminate()
    assert rented.wait() == 1
    assert rented.outcome()["reason"] == "preempted"
    assert len(rented.manifests()) == 1


@pytest.mark.parametrize(
    ("sign", "reason"),
    [("stop", "stopped"), ("sigterm", "preempted"), ("deadline", "deadline")],
)
def test_a_checkpoint_that_takes_long_to_come_back_makes_deaf_to_nothing(
    rented: Rented, sign: str, reason: str
) -> None:
    prefix = wire.checkpoint_prefix(JOB, 1, "step-000001")
    rented.order({"train.py": POLITE}, argv=["python", "train.py"], resume_key=prefix, grace=2.0)
    # A file that nobody writes to: whoever opens it waits.
    pipe = rented.scratch.parent / "store" / prefix / "manifest.json"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    rented.start()
    until(lambda: (rented.scratch / "source" / "train.py").exists())
    assert rented.process is not None
    if sign == "sigterm":
        rented.process.terminate()
    elif sign == "stop":
        rented.tell(stop=Reason.STOPPED)
    else:
        rented.tell(deadline=time.time() + 4.0)
    assert rented.wait(limit=30.0) == 1
    assert rented.outcome()["reason"] == reason
    assert rented.stages() == ["check", "source", "done"]


class Stuck:
    """A line to an S3 on which one file never comes: its beginning does, and then nothing more."""

    def __init__(self, endpoint: str, file: str) -> None:
        target = urlsplit(endpoint).netloc
        self.asked, self._over = threading.Event(), threading.Event()
        stuck = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                line = http.client.HTTPConnection(target)
                line.request(self.command, self.path, body, dict(self.headers))
                answer = line.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                        self.send_header(name, value)
                self.end_headers()
                if self.command == "GET" and self.path.endswith(file):
                    self.wfile.write(data[:1])
                    self.wfile.flush()
                    stuck.asked.set()
                    stuck._over.wait(100.0)
                elif self.command != "HEAD":
                    self.wfile.write(data)
                line.close()

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on

            def log_message(self, *_: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Leave nothing running."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def stuck(endpoint: str) -> Iterator[Stuck]:
    line = Stuck(endpoint, "/last.pt")
    yield line
    line.close()


def test_a_download_that_is_cut_does_not_hold_up_the_machines_end(tmp_path: Path, endpoint: str, stuck: Stuck) -> None:
    env = {**CREDENTIALS, "HOURGLASS_STORE_AWS_ENDPOINT_URL": endpoint}
    uri, prefix = f"s3://acme/{tmp_path.name}", wire.checkpoint_prefix(JOB, 1, "step-000001")
    rented = Rented(tmp_path, build(tmp_path / "trainer.pyz", with_s3=True), store=open_store(uri, env), uri=uri)
    rented.store.put(f"{prefix}/last.pt", b"weights")
    files = [FileEntry(path="last.pt", size=7, sha256="0" * 64)]
    rented.store.put(f"{prefix}/manifest.json", to_json(Manifest(name="step-000001", step=1, at=1.0, files=files)))
    rented.order({"train.py": POLITE}, argv=["python", "train.py"], resume_key=prefix)
    try:
        rented.start(**{**env, "HOURGLASS_STORE_AWS_ENDPOINT_URL": stuck.url})
        assert stuck.asked.wait(60.0)
        rented.tell(stop=Reason.STOPPED)
        assert rented.wait(limit=30.0) == 1
        assert rented.outcome()["reason"] == "stopped"
    finally:
        rented.close()


def test_sigterm_after_somebody_pressed_stop_is_a_stop(rented: Rented) -> None:
    rented.order({"train.py": POLITE}, argv=["python", "train.py"])
    rented.start()
    until(lambda: rented.series("loss"))
    assert rented.process is not None
    rented.tell(stop=Reason.STOPPED)
    rented.process.terminate()
    assert rented.wait() == 1
    assert rented.outcome()["reason"] == "stopped"


def test_a_frozen_agent_does_not_hold_up_the_deadline(rented: Rented) -> None:
    rented.order({"train.py": DAEMON + STUBBORN}, argv=["python", "train.py"], seconds=6.0, grace=0.5)
    rented.start()
    assert rented.process is not None
    until(lambda: rented.series("loss"))
    os.kill(agent_of(rented.process.pid), signal.SIGSTOP)
    assert rented.wait() == 124
    assert rented.deadline <= time.time() < rented.deadline + SLACK
    assert rented.children() == []


def test_an_agent_that_dies_takes_everything_with_it(rented: Rented) -> None:
    rented.order({"train.py": DAEMON + STUBBORN}, argv=["python", "train.py"])
    rented.start()
    assert rented.process is not None
    until(lambda: rented.series("loss"))
    os.kill(agent_of(rented.process.pid), signal.SIGKILL)
    assert rented.wait() == 70
    assert rented.children() == []


def test_a_daemon_does_not_outlive_the_command_that_left_it(rented: Rented) -> None:
    rented.order({"train.py": DAEMON}, argv=["python", "train.py"])
    assert rented.run() == 0
    pid = int((rented.scratch / "source" / "daemon").read_text())
    assert not running(pid)


def test_what_stays_in_the_commands_group_is_ended_with_it(rented: Rented) -> None:
    rented.order({}, commands=["sleep 60 & echo $! > background"])
    began = time.monotonic()
    assert rented.run() == 0
    assert time.monotonic() - began < 25  # it did not wait for the minute that the other sleeps
    assert not running(int((rented.scratch / "source" / "background").read_text()))


def test_a_deadline_that_has_passed_starts_nothing_that_lasts(rented: Rented) -> None:
    rented.order({"train.py": STUBBORN}, argv=["python", "train.py"], seconds=-5.0)
    assert rented.run() in (1, 124)
    assert rented.children() == []


def agent_of(init: int) -> int:
    """Return the process id of the agent."""
    (pid,) = map(int, Path(f"/proc/{init}/task/{init}/children").read_text().split()[:1])
    return pid

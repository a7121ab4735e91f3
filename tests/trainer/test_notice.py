"""The provider takes the machine back: its word is found, the script saves, and the outcome says why."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.metadata import Metadata
from tests.trainer.rented import Rented, until
from tests.trainer.test_machine_end import POLITE
from trainer.machine import BadMachine, machine_from
from trainer.notice import BadSource, Notice, Source, seconds_left
from trainer.preempt import Preemption, Step
from trainer.wire import Reason

AWS = "/latest/meta-data/spot/instance-action"
GCP = "/computeMetadata/v1/instance/preempted"
ALIBABA = "/latest/meta-data/instance/spot/termination-time"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as service:
        yield service


class Babbler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"what?\r\n\r\n")


def look(metadata: Metadata, kind: str) -> Notice | None:
    return Source(f"{kind}={metadata.address}", wall=lambda: NOW).look()


@pytest.mark.parametrize(
    ("kind", "path", "answer", "notice"),
    [
        ("aws", AWS, None, None),
        ("aws", AWS, '{"action": "terminate", "time": "2026-11-24T12:02:00Z"}', Notice("AWS", NOW + 120)),
        ("aws", AWS, '{"action": "stop", "time": "2026-11-24T12:02:00Z"}', Notice("AWS", NOW + 120)),
        ("aws", AWS, '{"action": "hibernate"}', Notice("AWS", NOW + 120)),
        ("aws", AWS, "{}", None),
        ("aws", AWS, '["terminate"]', None),
        ("aws", AWS, "<html>", None),
        ("gcp", GCP, "FALSE", None),
        ("gcp", GCP, "TRUE", Notice("Google Cloud", NOW + 30)),
        ("gcp", GCP, None, None),
        ("gcp", GCP, "é", None),
        ("alibaba", ALIBABA, None, None),
        ("alibaba", ALIBABA, "2026-11-24T12:05:00Z", Notice("Alibaba Cloud", NOW + 300)),
        ("alibaba", ALIBABA, "soon", None),
    ],
)
def test_what_a_metadata_service_says(
    metadata: Metadata, kind: str, path: str, answer: str | None, notice: Notice | None
) -> None:
    if answer is not None:
        metadata.notices[path] = answer
    assert look(metadata, kind) == notice


def test_a_look_that_fails_says_nothing_and_the_next_one_is_heard(metadata: Metadata) -> None:
    source = Source(f"aws={metadata.address}", wall=lambda: NOW)
    metadata.notices[AWS] = '{"action": "terminate", "time": "2026-11-24T12:02:00Z"}'
    metadata.broken = True
    assert source.look() is None
    metadata.broken = False
    assert source.look() is not None
    metadata.expired = True  # a token lasts six hours, a rental may last longer
    assert source.look() is None
    assert source.look() is not None
    assert metadata.tokens == 2
    assert Source("gcp=http://127.0.0.1:1").look() is None


def test_what_answers_in_no_language_of_the_webs_says_nothing() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Babbler) as babbling:
        thread = threading.Thread(target=babbling.handle_request)
        thread.start()
        assert Source(f"gcp=http://127.0.0.1:{babbling.server_address[1]}").look() is None
        thread.join()


@pytest.mark.parametrize(
    "said", ["", "azure", "aws=169.254.169.254", "aws=file:///etc/passwd", "file", "file=x", "gcp=/x"]
)
def test_a_name_that_is_none_is_quoted(said: str) -> None:
    with pytest.raises(BadSource, match="names no notice: write aws, gcp or alibaba"):
        Source(said)


def test_a_machine_with_such_a_name_does_not_start() -> None:
    env = {"HOURGLASS_STORE": "file:///s", "HOURGLASS_JOB": "J", "HOURGLASS_ATTEMPT": "1", "HOURGLASS_DEADLINE": "9"}
    with pytest.raises(BadMachine, match="HOURGLASS_SPOT_NOTICE: 'azure' names no notice"):
        machine_from({**env, "HOURGLASS_SPOT_NOTICE": "azure"})
    assert machine_from({**env, "HOURGLASS_SPOT_NOTICE": "gcp"}).spot_notice == "gcp"


@pytest.mark.parametrize(("text", "notice"), [('{"by": "AWS", "at": 5.5}', Notice("AWS", 5.5)), ('{"by": "A', None)])
def test_the_wardens_file_is_read_once_it_is_whole(tmp_path: Path, text: str, notice: Notice | None) -> None:
    source = Source(f"file={tmp_path}/notice")
    assert source.look() is None
    (tmp_path / "notice").write_text(text)
    assert source.look() == notice


@pytest.mark.parametrize(("at", "left"), [(NOW - 5, 0.0), (NOW + 90, 90.0), (NOW + 1e9, 300.0)])
def test_the_time_that_is_left_is_bounded_whatever_the_clocks_say(at: float, left: float) -> None:
    assert seconds_left(Notice("AWS", at), NOW) == left


def test_within_a_short_notice_the_script_has_three_quarters_and_the_uploads_the_rest() -> None:
    preemption = Preemption(grace=120.0)
    preemption.ask(Reason.PREEMPTED, 100.0, within=30.0)
    assert preemption.step(100.0, ends=9_000.0) is Step.ASK
    assert preemption.step(122.4, ends=9_000.0) is Step.WAIT
    assert preemption.step(122.5, ends=9_000.0) is Step.KILL
    assert preemption.last_call(9_000.0) == 127.0


def test_a_notice_after_a_stop_shortens_its_grace_and_one_with_more_time_does_not() -> None:
    stopped = Preemption(grace=120.0)
    stopped.ask(Reason.STOPPED, 100.0)
    assert stopped.kill_at(9_000.0) == 190.0
    stopped.ask(Reason.PREEMPTED, 130.0, within=30.0)
    assert (stopped.reason, stopped.kill_at(9_000.0)) == (Reason.STOPPED, 152.5)
    early = Preemption(grace=20.0)
    early.ask(Reason.PREEMPTED, 100.0, within=300.0)
    assert early.kill_at(9_000.0) == 115.0


def test_a_notice_saves_uploads_and_is_told_as_what_it_is(rented: Rented, metadata: Metadata) -> None:
    metadata.notices[GCP] = "FALSE"
    rented.order({"train.py": POLITE}, argv=["python", "train.py"])
    rented.start(HOURGLASS_SPOT_NOTICE=f"gcp={metadata.address}")
    until(lambda: rented.series("loss"))
    metadata.notices[GCP] = "TRUE"
    assert rented.wait() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"], outcome["tail"][-1]) == ("preempted", 0, "saved")
    assert list(rented.manifests()) == ["step-000001"]
    assert rented.notices()["spot_notice"].startswith("Google Cloud takes this machine back at ")
    assert rented.stages()[-2:] == ["save", "done"]


def test_an_exit_code_is_no_preemption(rented: Rented) -> None:
    rented.order({}, commands=["kill -TERM $$; sleep 9"])  # ends as a command that was asked to: with 143
    assert rented.run() == 1
    outcome = rented.outcome()
    assert (outcome["reason"], outcome["code"]) == ("error", 143)


def test_the_warden_waits_with_the_same_archive(metadata: Metadata, archive: Path) -> None:
    said = f"gcp={metadata.address}"
    waiting = subprocess.Popen([sys.executable, str(archive), "notice", said], stdout=subprocess.PIPE)
    try:
        assert metadata.looks.acquire(timeout=20)
        metadata.notices[GCP] = "TRUE"
        out, _ = waiting.communicate(timeout=20)
    finally:
        waiting.kill()
    told = json.loads(out)
    assert (waiting.returncode, told["by"]) == (0, "Google Cloud")
    assert time.time() < told["at"] <= time.time() + 30

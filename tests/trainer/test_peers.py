"""Machines of one attempt find each other through the store, wait for each other, and say who did not come."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from tests.trainer.rented import JOB, Rented, until
from trainer import wire
from trainer.fetch import CannotStart
from trainer.peers import Meeting
from trainer.storage import FolderStore
from trainer.wire import AgentOrder, CheckpointRule, GpuNeed, Peer, Reason


def an_order(rank: int, *, nodes: int = 2, gpus: int = 0, **env: str) -> AgentOrder:
    return AgentOrder(
        job=JOB,
        attempt=3,
        rank=rank,
        nodes=nodes,
        source_key="",
        source_sha256="",
        commit="",
        setup=(),
        commands=("torchrun train.py",),
        argv=(),
        env=env,
        gpu=GpuNeed(name="a100" if gpus else "cpu", count=gpus, memory_gb=None, required=True),
        checkpoints=CheckpointRule(path="out", upload_every=1.0, keep=2),
        deadline=0.0,
        grace=1.0,
        resume_key=None,
        flush_every=1.0,
    )


def test_all_of_them_are_told_the_same_place_and_each_its_own_number(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    meetings = [Meeting(an_order(rank, nodes=3, gpus=8), store, f"node-0{rank}") for rank in (0, 1, 2)]
    for meeting in meetings[:2]:
        meeting.arrive()
    assert [meeting.complete() for meeting in meetings[:2]] == [False, False]
    assert meetings[0].ready == "2 of 3 machines were ready"
    assert meetings[1].late == "no word from machine 3, counted from 1."
    meetings[2].arrive()
    assert all(meeting.complete() for meeting in meetings)

    told = [meeting.variables() for meeting in meetings]
    assert {each["PET_RDZV_ENDPOINT"] for each in told} == {f"node-00:{told[0]['MASTER_PORT']}"}
    assert [each["PET_RDZV_CONF"] for each in told] == ["is_host=1", "is_host=0", "is_host=0"]
    assert [each["PET_LOCAL_ADDR"] for each in told] == ["node-00", "node-01", "node-02"]
    assert [each["NODE_RANK"] for each in told] == ["0", "1", "2"]
    same = {"PET_NNODES": "3", "PET_NPROC_PER_NODE": "8", "PET_RDZV_BACKEND": "c10d", "PET_RDZV_ID": f"{JOB}-a3"}
    assert all(same.items() <= each.items() for each in told)
    for meeting in meetings:
        meeting.__exit__()


def test_the_port_is_kept_free_of_others_until_the_command_takes_it(tmp_path: Path) -> None:
    with Meeting(an_order(0), FolderStore(tmp_path), "node-00") as meeting:
        meeting.arrive()
        meeting.arrive()  # the store failed, and it is said again
        said = wire.from_json(Peer, FolderStore(tmp_path).get(wire.peer_key(JOB, 3, 0)) or b"")
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("", said.port))
    with socket.socket() as command:
        command.bind(("", said.port))


def test_what_the_team_says_itself_stands(tmp_path: Path) -> None:
    order = an_order(0, nodes=1, PET_NPROC_PER_NODE="4")
    with Meeting(order, FolderStore(tmp_path), "node-00") as meeting:
        meeting.arrive()
        assert "PET_NPROC_PER_NODE" not in meeting.variables()


def test_a_machine_without_a_name_for_the_others_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=wire.ENV_ADDRESS) as raised:
        Meeting(an_order(0), FolderStore(tmp_path), "")
    assert raised.value.reason is Reason.BAD_SPEC


def test_the_agent_waits_for_the_others_only_so_long_and_says_who_did_not_come(rented: Rented) -> None:
    rented.order({"a": ""}, commands=["echo never"], seconds=8.0, grace=1.0, nodes=2)
    assert rented.run(**{wire.ENV_ADDRESS: "127.0.1.100"}) == 1
    outcome = rented.outcome()
    assert (outcome["reason"], "never" in rented.log()) == ("lost", False)
    assert outcome["tail"][-1].endswith("no word from machine 2, counted from 1.")
    assert rented.stages()[:3] == ["check", "source", "join"]


def test_a_stop_is_heard_while_the_others_are_waited_for(rented: Rented) -> None:
    rented.order({"a": ""}, commands=["echo never"], nodes=2)
    rented.start(**{wire.ENV_ADDRESS: "127.0.1.100"})
    until(lambda: "join" in rented.stages())
    rented.tell(stop=Reason.STOPPED)
    assert rented.wait() == 1
    assert (rented.outcome()["reason"], "never" in rented.log()) == ("stopped", False)


def test_the_command_begins_when_the_last_one_has_come(rented: Rented) -> None:
    rented.order({"a": ""}, commands=["echo $NODE_RANK of $NNODES at $PET_RDZV_ENDPOINT"], nodes=2)
    rented.start(**{wire.ENV_ADDRESS: "127.0.1.100"})
    until(lambda: rented.store.get(wire.peer_key(JOB, 1, 0)))
    with Meeting(dataclasses.replace(an_order(1), attempt=1), rented.store, "127.0.1.101") as second:
        second.arrive()
        assert rented.wait() == 0
        assert second.complete()
    assert rented.log().startswith(f"0 of 2 at {second.variables()['PET_RDZV_ENDPOINT']}")

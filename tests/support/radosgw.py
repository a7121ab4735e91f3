"""A real S3 with STS on this computer: Ceph's gateway over one monitor and one disk in memory.

It enforces what moto only answers to: signatures, roles, and the session policies that narrow them. Debian has it
(`radosgw ceph-mon ceph-osd ceph-base ceph-common`, without recommends); where it is missing its tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool")
REGION = "us-east-1"
ACCOUNT = "123456789012"  # what this gateway calls a tenant stands where AWS has the account's number
ROLE = f"arn:aws:iam::{ACCOUNT}:role/hourglass-job"
_START = 60.0  # seconds for all of it to stand

_CONF = """[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
mon initial members = a
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
osd crush update on start = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
mon allow pool size one = true
mon pg warn min per osd = 0
osd objectstore = memstore
memstore device bytes = 4294967296
run dir = {folder}
admin socket =
log file = {folder}/$name.log
pid file =
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw s3 auth use sts = true
rgw sts key = 0123456789abcdef
rgw enable usage log = false
rgw dns name = 127.0.0.1
[mon.a]
host = localhost
mon addr = 127.0.0.1:{mon}
[client.rgw]
host = localhost
"""


def require() -> None:
    """Skip the test by name where the programs are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no {missing[0]}: install radosgw, ceph-mon, ceph-osd, ceph-base and ceph-common")
    if os.getuid() != 0:
        pytest.skip("Ceph's programs want to be started by root")


class Radosgw:
    """One gateway; `close` leaves nothing of it."""

    def __init__(self, folder: Path) -> None:
        """Start it in `folder`, which must be empty."""
        self.folder = folder
        self._children: list[subprocess.Popen[bytes]] = []
        mon, rgw = _free_port(), _free_port()
        self.endpoint = f"http://127.0.0.1:{rgw}"
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir(parents=True)
        self._conf = folder / "ceph.conf"
        self._fsid = str(uuid.uuid4())
        self._conf.write_text(_CONF.format(fsid=self._fsid, mon=mon, rgw=rgw, folder=folder))
        try:
            self._begin(mon)
            self.owner = self._user("team", "--caps=roles=*")
            self.bot = self._user("bot")
            self.role(ROLE.rpartition("/")[2])
        except BaseException:
            self.close()
            raise

    def client(self, service: str, user: dict[str, str], **more: Any) -> Any:
        """Return the SDK's client for a user's keys."""
        told = {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "aws_access_key_id": user["access_key"],
            "aws_secret_access_key": user["secret_key"],
        }
        return boto3.client(service, **{**told, **more})

    def close(self) -> None:
        """Stop gateway, disk and monitor, in this order."""
        for child in reversed(self._children):
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _begin(self, mon: int) -> None:
        monmap = self.folder / "monmap"
        self._run("monmaptool", "--create", "--clobber", "--fsid", self._fsid, "--addv", "a",
                  f"[v1:127.0.0.1:{mon}]", str(monmap))  # fmt: skip
        self._run("ceph-mon", "-c", str(self._conf), "--mkfs", "-i", "a", "--monmap", str(monmap))
        self._start("ceph-mon", "-i", "a")
        wanted = str(uuid.uuid4())
        self._until(lambda: self._ceph("osd", "new", wanted) is not None)
        # As the monitor has it: an answer that came too late may have been to another call.
        known = json.loads(self._ceph("osd", "dump", "--format=json") or b"{}")["osds"][0]["uuid"]
        self._run("ceph-osd", "-c", str(self._conf), "-i", "0", "--mkfs", "--osd-uuid", known)
        self._start("ceph-osd", "-i", "0")
        for rule in (("osd", "crush", "add-bucket", "here", "host"), ("osd", "crush", "move", "here", "root=default"),
                     ("osd", "crush", "add", "osd.0", "1.0", "host=here"),
                     ("osd", "crush", "rule", "create-replicated", "flat", "default", "osd")):  # fmt: skip
            self._until(lambda rule=rule: self._ceph(*rule) is not None)
        self._until(self._disk_up)
        self._start("radosgw", "-n", "client.rgw")
        self._until(self._answers)

    def _user(self, name: str, *more: str) -> dict[str, str]:
        made = self._run("radosgw-admin", "-c", str(self._conf), "-n", "client.rgw", "user", "create",
                         f"--tenant={ACCOUNT}", f"--uid={name}", f"--display-name={name}", *more)  # fmt: skip
        key: dict[str, str] = json.loads(made[made.index(b"{") :])["keys"][0]
        return key

    def role(self, name: str) -> str:
        """Make a role that may do anything with objects, and that the bot alone may take; return its ARN."""
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/bot"]},
            "Action": ["sts:AssumeRole"],
        }
        allowed = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
        iam = self.client("iam", self.owner)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
        iam.put_role_policy(RoleName=name, PolicyName="files", PolicyDocument=_policy(allowed))
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def disallow(self, name: str) -> None:
        """Take from a role what it may do: its sessions are refused from now on."""
        self.client("iam", self.owner).delete_role_policy(RoleName=name, PolicyName="files")

    def _disk_up(self) -> bool:
        return b"1 up" in (self._ceph("osd", "stat") or b"")

    def _left(self) -> subprocess.Popen[bytes] | None:
        """Return a program that has ended, the disk apart: that is started again.

        On a busy machine it asks the monitor before it has learnt whose that is, is told "wrong fsid", and goes.
        """
        for child in list(self._children):
            if child.poll() is None:
                continue
            if child.args[0] != "ceph-osd":  # type: ignore[index]  # what _start was given: a list
                return child
            self._children.remove(child)
            self._start("ceph-osd", "-i", "0")
        return None

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2).close()  # noqa: S310  the gateway of this test
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _ceph(self, *words: str) -> bytes | None:
        done = subprocess.run(["ceph", "-c", str(self._conf), "--connect-timeout=5", *words],
                              capture_output=True, timeout=30, check=False)  # fmt: skip
        return done.stdout if done.returncode == 0 else None

    def _run(self, *words: str) -> bytes:
        done = subprocess.run(words, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]!r}"
        return done.stdout

    def _start(self, *words: str) -> None:
        log = (self.folder / f"{words[0]}.out").open("wb")
        with log:
            self._children.append(
                subprocess.Popen([words[0], "-c", str(self._conf), "-f", *words[1:]], stdout=log, stderr=log)
            )

    def _until(self, condition: Any) -> None:
        give_up = time.monotonic() + _START
        while not condition():
            left = self._left()
            assert left is None, f"{left.args!r} left with {left.returncode}; see {self.folder}"
            assert time.monotonic() < give_up, f"Ceph did not stand in time; see {self.folder}"
            time.sleep(0.2)  # other processes' work: there is nothing here to be woken by


def _policy(statement: dict[str, Any]) -> str:
    # This gateway refuses a policy with spaces in it.
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

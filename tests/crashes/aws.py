"""The same histories over the aws provider: its own code and botocore in the bot, moto in the process that watches.

Each HTTP request of the bot's goes over the line, so that what it asked for stands when it is killed, and nothing is in
between that would have to be restarted. moto keeps machines, tags and schedules; beside it stand what it leaves out
(`tests.aws.cloud`: client tokens, schedules that refuse) and, here, time: machines are seen late, boot, are ended late,
and schedules fire, all by the story's clock.
"""

from __future__ import annotations

import dataclasses
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from werkzeug.test import EnvironBuilder, run_wsgi_app

from jobs.clock import Clock
from jobs.providers import Instance, LaunchOrder, Offer, Traits
from jobs.providers.aws import TAKEN_BACK, Aws, traits
from jobs.providers.aws_schedule import Schedules
from jobs.values import DOLLAR
from tests.aws.books import Scripts
from tests.aws.cloud import GROUP, IMAGE, KEY, KEY_ID, REGION, SCHEDULER_ROLE, Front
from tests.aws.supply import EC2
from tests.crashes.cloud import MARKET_MOVES, Cloud, Driver, Line, market_price
from tests.crashes.fate import Fate
from tests.crashes.points import Position
from tests.support.builders import an_offer
from tests.support.clock import START
from tests.support.fake_provider import Machine
from tests.support.world import HOME

TYPE, ZONE = "p4d.24xlarge", "us-east-1a"  # moto puts machines there that name no zone
OFFER = an_offer(provider="aws", name=TYPE, region=REGION, micros_per_hour=2 * DOLLAR)
# No allowance and no disk, so that stories are short and their bills are those of the oracle.
TRAITS = dataclasses.replace(traits(scheduled=True), startup=timedelta(0), disk_micros_per_gb_hour=0)

Reply = tuple[int, dict[str, str], bytes]
_CODES = {"pending": "0", "running": "16", "shutting-down": "32", "terminated": "48"}
# What a verb is about: killed in its call, the bot has asked for this and never hears of it.
_EFFECTS = ("RunInstances", "TerminateInstances", "CreateTags", "POST", "PUT", "DELETE")
_READS = ("offers", "find", "list", "metered")


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """botocore clients whose requests are answered by whoever holds the other end."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str, dict[str, str], bytes], Reply] | None = None

    @cache  # noqa: B019  one for the process: a client takes longer to make than a history
    def client(self, service: str, region: str) -> Any:
        """Return a client."""
        made = boto3.client(
            service,
            region_name=region,
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )
        made.meta.events.register("before-send", self._sent)
        return made

    def _sent(self, request: Any, **_: Any) -> AWSResponse:
        assert self.answer is not None
        body = request.body.encode() if isinstance(request.body, str) else bytes(request.body or b"")
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        status, told, content = self.answer(request.method, request.url, headers, body)
        return AWSResponse(request.url, status, told, _Raw(content))


WIRE = Wire()  # inherited by every bot that is forked
FRONT = Front()  # moto's books are the process's


class AwsCloud(Cloud):
    """moto with a clock. `machines` has what was ever launched, for the oracle and for what machines write."""

    def __init__(self, clock: Clock, **options: Any) -> None:
        super().__init__(clock, **options)
        self.unseen = timedelta(0)  # how long after its launch a machine is in no listing
        self.waives = timedelta(hours=1)  # what is taken back within it costs nothing
        _asked("POST", "http://moto/moto-api/reset", {}, b"")
        FRONT._launches.clear()
        FRONT.now = clock.now
        FRONT.roles.add(SCHEDULER_ROLE)
        moves = [START + timedelta(seconds=number * MARKET_MOVES) for number in range(120)]
        FRONT.supply.spot_moves = {
            (ZONE, TYPE): [(at, f"{market_price(OFFER, (at - START).seconds) / DOLLAR:.6f}") for at in moves]
        }
        WIRE.answer = _asked
        WIRE.client("scheduler", REGION).create_schedule_group(Name=GROUP)

    def serve(self, verb: str, *arguments: Any) -> Any:
        """Answer one HTTP request."""
        assert verb == "http", verb
        return self._http(*arguments)

    def _http(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        self._settle()
        words = dict(parse_qsl(body.decode())) if "form-urlencoded" in headers.get("Content-Type", "") else {}
        action = words.get("Action", "")
        if action == "RunInstances" and self.busy_until is not None and self.clock.now() < self.busy_until:
            return _fault(500, "InsufficientInstanceCapacity")
        if action == "TerminateInstances" and self._is_deaf(words["InstanceId.1"]):
            # EC2 says yes and does nothing; its answer is that of a question.
            return _asked(method, url, headers, body.replace(b"TerminateInstances", b"DescribeInstances"))
        hidden = {one.id for one in self.machines if self.clock.now() < one.launched_at + self.unseen}
        if action == "DescribeInstances" and words.get("InstanceId.1") in hidden:
            return _fault(400, "InvalidInstanceID.NotFound")
        status, told, content = _asked(method, url, headers, body)
        if action == "RunInstances" and status == 200:
            self._launched(content.decode(), words)
            if self._lost_answers:
                self._lost_answers -= 1
                return _fault(502, "BadGateway")
        if action in ("RunInstances", "DescribeInstances") and status == 200:
            content = self._in_time(content, hide=action == "DescribeInstances")
            told = {"Content-Type": "text/xml"}
        return status, told, content

    def _launched(self, text: str, words: Mapping[str, str]) -> None:
        (name,) = re.findall(r"<instanceId>(.*?)</instanceId>", text)
        if any(machine.id == name for machine in self.machines):
            return
        prefix = "TagSpecification.1.Tag."
        numbers = {key.removeprefix(prefix).split(".")[0] for key in words if key.startswith(prefix)}
        tags = {words[f"{prefix}{number}.Key"]: words[f"{prefix}{number}.Value"] for number in numbers}
        now = self.clock.now()
        spot = words.get("InstanceMarketOptions.MarketType") == "spot"
        self.machines.append(
            Machine(
                id=name,
                region=REGION,
                order=_order_of(tags),
                offer=dataclasses.replace(OFFER, spot=spot),
                launched_at=now,
                runs_at=now + self.boot_delay,
                tags=tags,
            )
        )

    def _is_deaf(self, name: str) -> bool:
        """Note that an end was asked for; return whether it is taken and not done."""
        now = self.clock.now()
        self.asked_to_end = self.asked_to_end or now
        if now < self.asked_to_end + self.deaf_for:
            return True
        for machine in self.machines:
            if machine.id == name and machine.ends_at is None:
                machine.ends_at = now + self.end_lag
        return False

    def _settle(self) -> datetime:
        """Let schedules fire that are due, then what a cloud does by itself."""
        from tests.aws import timers

        now = self.clock.now()
        for schedule in timers.due(REGION, now):
            at = timers.time_of(schedule)
            for machine in self.machines:
                if machine.id in schedule.target["Input"] and machine.ends_at is None and at is not None:
                    machine.ends_at = at + self.end_lag
            if schedule.action_after_completion == "DELETE":
                timers._groups(REGION)[schedule.group_name].schedules.pop(schedule.name, None)
        return super()._settle()

    # ------------------------------------------------------------ what EC2 says, by the story's clock

    def _in_time(self, content: bytes, *, hide: bool) -> bytes:
        root, now = ET.fromstring(content), self.clock.now()  # noqa: S314  moto's own words
        known = {machine.id: machine for machine in self.machines}
        # The front's answer to a repeated launch names no namespace.
        for holder in [each for each in root.iter() if each.tag.endswith("instancesSet")]:
            for shown in list(holder):
                machine = known[shown.findtext("{*}instanceId", "")]
                if hide and now < machine.launched_at + self.unseen:
                    holder.remove(shown)
                    continue
                _tell(shown, machine, now)
        return ET.tostring(root)


def _tell(shown: ET.Element, machine: Machine, now: datetime) -> None:
    ends, state = machine.ends_at, "pending" if now < machine.runs_at else "running"
    if ends is not None:
        state = "terminated" if now >= ends else "shutting-down"
    _put(shown, "instanceState", {"code": _CODES[state], "name": state})
    _put(shown, "launchTime", f"{machine.launched_at:%Y-%m-%dT%H:%M:%S}.000Z")
    _put(shown, "reason", "" if ends is None else f"User initiated ({ends:%Y-%m-%d %H:%M:%S} GMT)")
    code = TAKEN_BACK if machine.note else "Client.UserInitiatedShutdown"
    _put(shown, "stateReason", {"code": code, "message": code} if ends is not None else "")


def _put(shown: ET.Element, name: str, value: str | Mapping[str, str]) -> None:
    for old in shown.findall(f"{{*}}{name}"):
        shown.remove(old)
    made = ET.SubElement(shown, f"{{{EC2}}}{name}")
    if isinstance(value, str):
        made.text = value
        return
    for part, text in value.items():
        ET.SubElement(made, f"{{{EC2}}}{part}").text = text


def _order_of(tags: Mapping[str, str]) -> LaunchOrder:
    return LaunchOrder(
        launch_key=tags["key"],
        tags=dict(tags),
        deadline=datetime.fromtimestamp(int(tags["deadline"]), START.tzinfo),
        image=None,
        store="",
        job=tags["job"],
        attempt=int(tags["attempt"]),
        rank=int(tags["rank"]),
        env={},
        gpus=0,
        disk_gb=0,
        shm_gb=0,
    )


def _asked(method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
    """Ask moto."""
    parts = urlsplit(url)
    environ = EnvironBuilder(
        path=parts.path or "/",
        base_url=f"{parts.scheme}://{parts.netloc}",
        query_string=parts.query,
        method=method,
        data=body,
        headers=[(name, value) for name, value in headers.items() if name.lower() != "content-length"],
    ).get_environ()
    content, status, told = run_wsgi_app(FRONT, environ, buffered=True)
    return int(status.split()[0]), dict(told.items()), b"".join(content)


def _fault(status: int, code: str) -> Reply:
    error = f"<Response><Errors><Error><Code>{code}</Code><Message>Scripted.</Message></Error></Errors></Response>"
    return status, {"Content-Type": "text/xml"}, error.encode()


class AwsDriver(Driver):
    """The bot's half: the provider as it is deployed, killed before a call, once it was sent, or after."""

    def __init__(self, line: Line, fate: Fate, traits: Traits) -> None:
        super().__init__(line, fate, TRAITS)
        WIRE.answer = self._over_the_line
        self._verb, self._sent = "", False
        self.aws = Aws(
            home=HOME,
            regions=(REGION,),
            prices=(OFFER, dataclasses.replace(OFFER, spot=True)),
            boot=Scripts(),
            clients=WIRE.client,
            image=IMAGE,
            schedules=Schedules(role=SCHEDULER_ROLE, group=GROUP, clients=WIRE.client),
        )

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Ask for a machine; on AWS it runs an image."""
        return self._call("launch", offer, dataclasses.replace(order, image="pytorch/pytorch@sha256:" + "0" * 64))

    def _call(self, verb: str, *arguments: Any) -> Any:
        self._verb, self._sent = verb, False
        self._fate.point(f"call {verb}", Position.BEFORE)
        try:
            return getattr(self.aws, verb)(*arguments)
        finally:
            self._between()  # what came of it without a request
            self._fate.point(f"call {verb}", Position.AFTER)

    def _over_the_line(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Reply:
        self._line.send(("call", "http", (method, url, headers, body)))
        found = re.search(rb"Action=(\w+)", body)
        if self._verb in _READS or (found[1].decode() if found else method) in _EFFECTS:
            self._between()
        answer: Reply = self._line.recv()
        return answer

    def _between(self) -> None:
        if not self._sent:
            self._sent = True
            self._fate.point(f"call {self._verb}", Position.BETWEEN)


class WithoutToken(AwsDriver):
    """A broken rule: each call is another one to EC2, whatever its key."""

    def __init__(self, line: Line, fate: Fate, traits: Traits) -> None:
        super().__init__(line, fate, traits)
        whole = self.aws._requests.launch

        def bare(offer: Offer, order: LaunchOrder, script: str) -> dict[str, Any]:
            return {name: value for name, value in whole(offer, order, script).items() if name != "ClientToken"}

        self.aws._requests.launch = bare  # type: ignore[method-assign]


class WithoutSchedule(AwsDriver):
    """A broken rule: a schedule is believed in that nobody set."""

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Move the tag alone."""
        schedules, self.aws._schedules = self.aws._schedules, None
        try:
            super().extend(instance, deadline)
        finally:
            self.aws._schedules = schedules

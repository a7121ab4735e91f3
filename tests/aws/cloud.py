"""A cloud on this computer: moto behind a front that does what moto leaves out.

moto keeps EC2's, S3's and STS's books and starts nothing (see `tests.aws.harness` for machines that boot). It
also ignores the client token, never runs out of capacity and never loses an answer. The front adds the token as
AWS documents it, faults that a test scripts, and what there is to be had (`tests.aws.supply`).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import EnvironBuilder, run_wsgi_app

from jobs.providers.aws_schedule import Schedules
from tests.aws import costs, iam, timers
from tests.aws.supply import Fault, Supply, region_of

# moto's own variable, read when its EC2 is first asked: one machine image instead of thirteen hundred (5 s).
AMIS = Path(__file__).with_name("amis.json")
os.environ.setdefault("MOTO_AMIS_PATH", str(AMIS))

REGION = "us-east-1"
IMAGE = "ami-9b32e8e2"  # the one in that file, with a root volume of 15 GB
ROLE = "arn:aws:iam::123456789012:role/hourglass-job"
SCHEDULER_ROLE = "arn:aws:iam::123456789012:role/hourglass-scheduler"
GROUP = "hourglass"
KEY_ID, KEY = "AKIAPRACTICEPRACTICE", "practice-key-of-no-account"
HOSTS_KEY_ID = "AKIAPRACTICEOFHOSTS1"  # whoever signs with it sees moto's books past all scripted faults

_SESSION = boto3.session.Session()  # one for all: it keeps the services' models, which take long to read
StartResponse = Callable[..., Any]
JSON = "application/x-amz-json-1.1"
_FAULT = (
    '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{code}</Code>'
    "<Message>{message}</Message></Error></Errors><RequestID>practice</RequestID></Response>"
)


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: a test's own output is what is read."""


class Front:
    """moto's own application, with client tokens and scripted faults."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # where it runs

        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._launches: dict[str, tuple[dict[str, str], str]] = {}  # region and token: (the request, instance id)
        self._faults: dict[str, tuple[str, int]] = {}
        self._lost: set[str] = set()
        self._then: dict[str, str] = {}
        self._down = False
        self.supply = Supply()
        self.costs = costs.Costs()
        self.calls: list[str] = []  # EC2's, STS's and the scheduler's actions, in order
        self.policy: Mapping[str, Any] | None = None  # what whoever asks may do; None: everything
        self.roles: set[str] = set()  # that schedules may act under
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)  # what time it is for whom schedules are set

    @contextmanager
    def refusing(self, action: str, code: str, status: int = 400) -> Iterator[None]:
        """Answer `action` with AWS's error `code` and change nothing."""
        self._faults[action] = (code, status)
        try:
            yield
        finally:
            del self._faults[action]

    @contextmanager
    def losing_answers(self, action: str) -> Iterator[None]:
        """Do what `action` asks and answer with a gateway's error."""
        self._lost.add(action)
        try:
            yield
        finally:
            self._lost.discard(action)

    @contextmanager
    def losing_one_answer_and_refusing(self, action: str, code: str) -> Iterator[None]:
        """Do what `action` asks once and answer with a gateway's error; answer whoever asks again with `code`."""
        self._then[action] = code
        try:
            with self.losing_answers(action):
                yield
        finally:
            self._then.pop(action, None)
            self._faults.pop(action, None)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Answer nothing but a gateway's error, and do nothing."""
        self._down = True
        try:
            yield
        finally:
            self._down = False

    def tokens(self) -> list[str]:
        """Return the client tokens with which machines were launched, in order."""
        return [words["ClientToken"] for words, _ in self._launches.values()]

    def launches(self) -> list[dict[str, str]]:
        """Return the requests that made a machine, in order, as EC2's query protocol words them."""
        return [words for words, _ in self._launches.values()]

    def __call__(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if HOSTS_KEY_ID in environ.get("HTTP_AUTHORIZATION", ""):
            return self._moto(environ, start)  # type: ignore[no-any-return]  # moto has no types
        if self._down:
            return _answer(start, 503, _FAULT.format(code="ServiceUnavailable", message="Scripted."))
        if self.policy is not None:
            lacking = iam.refused(self.policy, iam.needs(environ))
            if lacking is not None:
                return self._forbidden(environ, start, lacking)
        if environ.get("HTTP_X_AMZ_TARGET") == "AWSPriceListService.GetProducts":
            return self._products(environ, start)
        if environ.get("HTTP_X_AMZ_TARGET") == costs.TARGET:
            status, told = self.costs.answer(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            return _answer(start, status, json.dumps(told), JSON)
        scheduling = timers.action_of(environ)
        if scheduling is not None:
            return self._schedule(environ, start, scheduling)
        form = "application/x-www-form-urlencoded" in environ.get("CONTENT_TYPE", "")
        if environ["REQUEST_METHOD"] != "POST" or not form:
            return self._moto(environ, start)  # type: ignore[no-any-return]  # moto has no types
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        words = dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = words.get("Action", "")
        self.calls.append(action)
        if action in self._faults:
            code, status = self._faults[action]
            return _answer(start, status, _FAULT.format(code=code, message="Scripted."))
        if self.supply.turned_away(action):
            return _answer(start, 503, _FAULT.format(code="RequestLimitExceeded", message="Request limit exceeded."))
        # One launch at a time: two with one token must not both find it unused.
        with self._lock:
            status, text = self._answered(environ, words, action)
        if action in self._lost:
            status, text = 502, ""
            if action in self._then:
                self._faults[action] = (self._then[action], 503)
        return _answer(start, status, text)

    def _answered(self, environ: Mapping[str, Any], words: dict[str, str], action: str) -> tuple[int, str]:
        region = region_of(environ.get("HTTP_AUTHORIZATION", ""))
        if action == "RunInstances":
            return self._launch(environ, words, region)
        if action == "DescribeSpotPriceHistory":
            return 200, self.supply.spot_history(words, region)
        status, text = self._pass(environ, words)
        if action != "DescribeInstances" or status != 200:
            return status, text
        told = self.supply.told(words, text)
        return (200, told) if isinstance(told, str) else _worded(told)

    def _products(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        self.calls.append("GetProducts")
        if "GetProducts" in self._faults:
            code, status = self._faults["GetProducts"]
            return _answer(start, status, json.dumps({"__type": code, "message": "Scripted."}), JSON)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return _answer(start, 200, json.dumps(self.supply.products(body)), JSON)

    def _forbidden(self, environ: dict[str, Any], start: StartResponse, lacking: iam.Asked) -> Iterable[bytes]:
        """Say no as each of the services says it."""
        words = f"User is not authorized to perform: {lacking.action} on resource: {lacking.resource}"
        scope = environ["HTTP_AUTHORIZATION"].split("/")[3]
        if scope == "scheduler":
            return timers.answer(start, "AccessDeniedException", words, 403)
        if scope == "s3":
            return _answer(start, 403, f"<Error><Code>AccessDenied</Code><Message>{words}</Message></Error>")
        if scope == "sts":
            error = f"<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{words}</Message></Error>"
            return _answer(start, 403, f"<ErrorResponse>{error}<RequestId>practice</RequestId></ErrorResponse>")
        if scope == "ec2":
            return _answer(start, 403, _FAULT.format(code="UnauthorizedOperation", message=words))
        return _answer(start, 400, json.dumps({"__type": "AccessDeniedException", "message": words}), JSON)

    def _schedule(self, environ: dict[str, Any], start: StartResponse, action: str) -> Iterable[bytes]:
        self.calls.append(action)
        if action in self._faults:
            code, status = self._faults[action]
            return timers.answer(start, code, "Scripted.", status)
        refusal = timers.refusal(environ, action, self.now(), self.roles)
        if refusal is not None:
            return timers.answer(start, *refusal, status=404 if "NotFound" in refusal[0] else 400)
        if action in self._lost:
            list(self._moto(environ, lambda *_: None))
            return timers.answer(start, "InternalServerException", "Scripted.", 502)
        return self._moto(environ, start)  # type: ignore[no-any-return]  # moto has no types

    def _pass(self, environ: Mapping[str, Any], words: Mapping[str, str]) -> tuple[int, str]:
        headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", ""), "Host": environ["HTTP_HOST"]}
        for name in ("HTTP_X_AMZ_DATE", "HTTP_X_AMZ_SECURITY_TOKEN", "HTTP_USER_AGENT"):
            if name in environ:
                headers[name.removeprefix("HTTP_").replace("_", "-")] = environ[name]
        inner = EnvironBuilder(
            path="/",
            method="POST",
            data=urlencode(words),
            content_type="application/x-www-form-urlencoded; charset=utf-8",
            headers=list(headers.items()),
        ).get_environ()
        parts, status, _ = run_wsgi_app(self._moto, inner, buffered=True)
        return int(status.split()[0]), b"".join(parts).decode()

    def _launch(self, environ: Mapping[str, Any], words: dict[str, str], region: str) -> tuple[int, str]:
        token = f"{region} {words.get('ClientToken', '')}"  # a token is good in one region
        if token in self._launches:
            before, instance = self._launches[token]
            if before != words:
                return 400, _FAULT.format(code="IdempotentParameterMismatch", message="The token was used before.")
            ask = {"Action": "DescribeInstances", "Version": words["Version"], "InstanceId.1": instance}
            status, text = self._pass(environ, ask)
            # Both answers hold one reservation; only its wrapping differs.
            found = re.search(r"<reservationSet>\s*<item>(.*)</item>\s*</reservationSet>", text, re.DOTALL)
            return status, f"<RunInstancesResponse>{found[1]}</RunInstancesResponse>" if found else text
        refusal = self.supply.refusal(words, region, self._zones(environ, words))
        if refusal is not None:
            return _worded(refusal)
        status, text = self._pass(environ, words)
        launched = re.search(r"<instanceId>(.*?)</instanceId>", text)
        if launched is not None and "ClientToken" in words:
            self._launches[token] = (words, launched[1])
        return status, text

    def _zones(self, environ: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, str]:
        """Return the zone of the subnet that is asked for, by its name."""
        if "SubnetId" not in words:
            return {}
        ask = {"Action": "DescribeSubnets", "Version": words["Version"], "SubnetId.1": words["SubnetId"]}
        found = re.search(r"<availabilityZone>(.*?)</availabilityZone>", self._pass(environ, ask)[1])
        return {words["SubnetId"]: found[1]} if found else {}


class Cloud:
    """The front on a port of this computer, and clients that talk to it. Close it, or use it in a `with`."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        """Serve at `address`; containers reach only the engine's own bridge."""
        self.front = Front()
        self.address = address
        self._server = make_server(address, 0, self.front, threaded=True, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="cloud")
        self._thread.start()
        self.endpoint = f"http://{address}:{self._server.server_port}"
        self._clients: dict[tuple[str, str, str], Any] = {}
        _reset(self.endpoint)  # moto's books are the process's: a cloud begins with empty ones

    def __enter__(self) -> Cloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def client(self, service: str, region: str) -> Any:
        """Return an SDK client that asks this cloud once and does not retry."""
        return self._made(service, region, KEY_ID)

    def books(self, region: str = REGION) -> Any:
        """Return an EC2 client that no scripted fault reaches: what the hosts themselves know."""
        return self._made("ec2", region, HOSTS_KEY_ID)

    def _made(self, service: str, region: str, key_id: str) -> Any:
        if (service, region, key_id) not in self._clients:
            self._clients[service, region, key_id] = _SESSION.client(
                service,
                # moto reads hundreds of managed policies when its IAM is first asked: half a minute on a busy machine.
                config=Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=90),
                endpoint_url=self.endpoint,
                region_name=region,
                aws_access_key_id=key_id,
                aws_secret_access_key=KEY,
            )
        return self._clients[service, region, key_id]

    def with_schedules(self, *regions: str) -> Schedules:
        """Make the role and the groups that schedules need, and return the provider's side of them."""
        self.front.roles.add(SCHEDULER_ROLE)
        for region in regions or (REGION,):
            self.client("scheduler", region).create_schedule_group(Name=GROUP)
        return Schedules(role=SCHEDULER_ROLE, group=GROUP, clients=self.client)

    def as_hosts(self, service: str, region: str, lent: Mapping[str, str] | None = None) -> Any:
        """Return a client that no scripted fault reaches, or one with keys that were lent."""
        if lent is None:
            return self._made(service, region, HOSTS_KEY_ID)
        return _SESSION.client(
            service,
            endpoint_url=self.endpoint,
            region_name=region,
            aws_access_key_id=lent["AccessKeyId"],
            aws_secret_access_key=lent["SecretAccessKey"],
            aws_session_token=lent["SessionToken"],
        )

    def environment(self, region: str = REGION) -> dict[str, str]:
        """Return the SDK's variables with which another process finds this cloud."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def store_environment(self) -> dict[str, str]:
        """Return the same as a rented machine is told of its store."""
        return {
            "HOURGLASS_STORE_AWS_ENDPOINT_URL": self.endpoint,
            "HOURGLASS_STORE_AWS_REGION": REGION,
            "HOURGLASS_STORE_AWS_ACCESS_KEY_ID": KEY_ID,
            "HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY": KEY,
        }

    def bucket(self, name: str) -> str:
        """Make a bucket and return the URI of a store in it."""
        self.client("s3", REGION).create_bucket(Bucket=name)
        return f"s3://{name}/hg"

    def instances(self, *states: str, region: str = REGION) -> list[dict[str, Any]]:
        """Return what moto's books hold in a region, of all homes."""
        pages = self.books(region).describe_instances()["Reservations"]
        found = [one for page in pages for one in page["Instances"]]
        return [one for one in found if not states or one["State"]["Name"] in states]


def _reset(endpoint: str) -> None:
    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    connection.close()


def _worded(fault: Fault) -> tuple[int, str]:
    return fault.status, _FAULT.format(code=fault.code, message=escape(fault.message))


def _answer(start: StartResponse, status: int, text: str, kind: str = "text/xml") -> Iterable[bytes]:
    start(f"{status} Scripted", [("Content-Type", kind), ("Content-Length", str(len(text.encode())))])
    return [text.encode()]

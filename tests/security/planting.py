"""Fifty secrets planted in a whole deployment, and every place looked at in which one could turn up.

The bot is the process that the Procfile starts, the machine a practice machine, Slack the sandbox. Secrets lie in the
bot's environment, in a repository, in what people type and in an address that git cannot reach; the team's script
prints all that it was given, in every form that comes to mind. Values are made up as the story begins, from parts:
nothing here looks like a live token to whoever scans this file.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jobs.errors import Misconfigured
from tests.e2e.deployment import CHANNEL, Deployment

_LETTERS = string.ascii_letters + string.digits
PRINTS = """
import base64, json, os, sys, time
from urllib.parse import quote
import hourglass
names = sorted(json.load(open("names.json")))
for name in names:
    value = os.environ[name]
    print("plain", value)
    print("repr", repr(value), json.dumps({"value": value}), quote(value, safe=""))
    print("base64", base64.b64encode(value.encode()).decode())
    print("login", base64.b64encode(b"user:" + value.encode()).decode())
    print("hex", value.encode().hex(), file=sys.stderr)
    sys.stdout.write("in pieces " + value[:5]); sys.stdout.flush(); time.sleep(0.002)
    sys.stdout.write(value[5:] + "\\n"); sys.stdout.flush()
    print("." * (16384 - 15) + value)
    print("bar " + value, end="\\r")
    hourglass.report(step=1, **{"loss of " + value: 1.0})
for step in range(1, 6):
    print(f"step {step}/5: loss {4 / step:.4f}", flush=True)
    time.sleep(0.05)
raise RuntimeError("with " + " and ".join(os.environ[name] for name in names))
"""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A secret and where it was put."""

    kind: str
    value: str
    where: str  # environment, address, repository, typed

    def forms(self) -> Iterator[bytes]:
        """Yield how it may turn up."""
        data = self.value.encode()
        yield data
        yield base64.b64encode(data).rstrip(b"=")[:-1]
        yield quote(data, safe="").encode()
        yield json.dumps(self.value)[1:-1].encode()
        yield data.hex().encode()
        lines = [line for line in data.splitlines() if len(line) >= 16 and not line.startswith(b"-----")]
        yield from lines if len(data.splitlines()) > 1 else []


class Maker:
    """Makes values up; the same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def of(self, count: int, letters: str = _LETTERS) -> str:
        return "".join(self._chance.choice(letters) for _ in range(count))

    def key(self) -> str:
        lines = [self.of(64, _LETTERS + "+/") for _ in range(6)]
        return "\n".join(["-----BEGIN " + "PRIVATE KEY-----", *lines, "-----END " + "PRIVATE KEY-----", ""])


def secrets(seed: int) -> list[Planted]:
    """Return what is planted: tokens as their issuers make them, and passwords as people make them."""
    make = Maker(seed)
    upper, hexed = string.ascii_uppercase + string.digits, string.hexdigits.lower()[:16]
    named = {
        "slack bot": "xox" + "b-" + make.of(12, string.digits) + "-" + make.of(24),
        "slack user": "xox" + "p-" + make.of(12, string.digits) + "-" + make.of(32),
        "slack config": "xox" + "e.xox" + "p-1-" + make.of(60),
        "slack app": "xap" + "p-1-" + make.of(11, upper) + "-" + make.of(64, hexed),
        "slack webhook": "https://hooks.slack" + ".com/services/" + make.of(9, upper) + "/" + make.of(24),
        "aws id": "AKI" + "A" + make.of(16, upper),
        "aws key": make.of(40, _LETTERS + "+/"),
        "aws session": make.of(200, _LETTERS + "+/") + "==",
        "github classic": "gh" + "p_" + make.of(36),
        "github server": "gh" + "s_" + make.of(36),
        "github fine": "github" + "_pat_" + make.of(22) + "_" + make.of(59),
        "gitlab": "gl" + "pat-" + make.of(20),
        "gitlab runner": "gl" + "rt-" + make.of(20),
        "hugging face": "h" + "f_" + make.of(34, string.ascii_letters),
        "wandb": make.of(40, hexed),
        "openai": "s" + "k-proj-" + make.of(48),
        "anthropic": "s" + "k-ant-api03-" + make.of(90),
        "google": "AI" + "za" + make.of(35),
        "npm": "np" + "m_" + make.of(36),
        "pypi": "py" + "pi-" + make.of(100),
        "docker": "dckr" + "_pat_" + make.of(27),
        "jwt": "ey" + "J" + make.of(30) + ".ey" + "J" + make.of(60) + "." + make.of(43),
        "registry login": "robot:" + make.of(24),
        "private key": make.key(),
        "ssh key": make.key().replace("PRIVATE", "OPENSSH PRIVATE"),
        "hex": make.of(64, hexed),
        "uuid": "-".join(make.of(n, hexed) for n in (8, 4, 4, 4, 12)),
        "short": make.of(8),
        "with quotes": make.of(6) + "'\"" + make.of(6),
        "with markup": make.of(6) + "<&>" + make.of(6),
        "with a backslash": make.of(6) + "\\" + make.of(6),
        "with spaces": make.of(6) + " " + make.of(6) + " " + make.of(6),
        "with percents": make.of(6) + "%2F%s" + make.of(6),
        "with signs": make.of(5) + "$(x)`;|*?[]{}" + make.of(5),
        "of another script": "пароль" + make.of(6) + "密码",
        "sentence": " ".join(make.of(7, string.ascii_lowercase) for _ in range(4)),
        "address": f"postgresql://u{make.of(4)}:{make.of(16)}@db.example/x",
        "json": json.dumps({"key": make.of(24)}),
    }
    found = [Planted(kind=kind, value=value, where="environment") for kind, value in named.items()]
    found += [Planted(kind=f"git token {n}", value=make.of(30), where="address") for n in (1, 2)]
    found += [Planted(kind="password of a mirror", value=make.of(20), where="address")]
    shaped = [one for one in found if one.kind in _RECOGNISED]
    found += [_again(one, make, "repository") for one in shaped[:5]] + [
        _again(one, make, "typed") for one in shaped[5:]
    ]
    return found


_RECOGNISED = ("slack bot", "slack app", "github classic", "gitlab", "hugging face",
               "aws id", "github fine", "openai", "docker")  # fmt: skip


def _again(one: Planted, make: Maker, where: str) -> Planted:
    """Return another token of the same issuer."""
    head, tail = one.value[:-12], one.value[-12:]
    letters = string.ascii_uppercase if tail.isupper() else string.ascii_letters
    return Planted(kind=f"{one.kind}, {where}", value=head + make.of(12, letters), where=where)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A secret that turned up."""

    kind: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was looked for, where, and what was found."""

    planted: int
    lines: int  # of log
    messages: int
    files: int
    seen: Sequence[Seen]


def search(folder: Path, seed: int) -> Search:
    """Let the story happen in `folder` and look everywhere."""
    planted = secrets(seed)
    team = [one for one in planted if one.where == "environment"]
    names = {f"S{number:02}": one.value for number, one in enumerate(team)}
    with Deployment(folder, settings=_settings(folder, planted, names)) as deployment:
        deployment.budget()
        said = [str(one) for one in _tell(deployment, planted, names)]
        said += _messages(deployment)
        deployment.bot.close()
        logs = b"\n".join(path.read_bytes() for path in sorted(folder.glob("bot-*.log")))
        files = [path for path in (folder / "state").rglob("*") if path.is_file()]
        seen = [*_in("log", logs, planted), *_in("message", "\n".join(said).encode(), planted)]
        inside = [one for one in planted if one.where in ("environment", "address")]
        for path in files:
            seen += _in(str(path.relative_to(folder)), path.read_bytes(), inside)
    if not logs.strip() or not files:
        raise Misconfigured("There was nothing to look at: the story did not happen.")
    return Search(planted=len(planted), lines=logs.count(b"\n"), messages=len(said), files=len(files), seen=seen)


def _settings(folder: Path, planted: Sequence[Planted], names: Mapping[str, str]) -> dict[str, str]:
    first, second, mirror = (one.value for one in planted if one.where == "address")
    unreachable, other = "http://127.0.0.1:1/", "http://127.0.0.1:2/"
    return {
        **{f"HOURGLASS_SECRET_{name}": value for name, value in names.items()},
        "HOURGLASS_GIT_HOSTS": f"{(folder / 'git').as_uri()}/,{unreachable},{other}",
        "HOURGLASS_GIT_TOKENS": json.dumps({unreachable: first, other: f"me:{second}"}),
        "HOURGLASS_REGISTRIES": json.dumps({"mirror.example": f"http://me:{mirror}@127.0.0.1:3"}),
    }


_LINES = (
    *("acme/vit@{0} gpu=a100 hours=1", "acme/vit@main gpu={0} hours=1", "acme/vit@main gpu=a100 hours=1 {0}=1"),
    *("status {0}", "{0}", "help {0}", "acme/vit@main gpu=a100 hours=1 image={0}"),
)


def _tell(deployment: Deployment, planted: Sequence[Planted], names: Mapping[str, str]) -> Iterator[object]:
    """Run the script that prints what it knows, then everything that ends in words of ours."""
    task = {"commands": ["python run.py"], "secrets": list(names)}
    files = {"run.py": PRINTS, "names.json": json.dumps(list(names)), ".hourglass.yml": json.dumps(task)}
    sha = deployment.repository("acme/vit", files)
    job = deployment.train(f"acme/vit@{sha} gpu=a100 hours=1")
    deployment.ended(job)
    for word in ("", " plain", " base64", " step"):
        yield deployment.type("ada", f"/train logs {job.id}{word}")
    yield deployment.type("ada", f"/train status {job.id}")
    for one in planted:
        if one.where == "typed":
            for line in _LINES:
                yield deployment.type("ada", f"/train {line.format(one.value)}")
    for one in planted:
        if one.where == "repository":
            name = f"acme/r{planted.index(one)}"
            sha = deployment.repository(name, {".hourglass.yml": f"{one.value}: 1\n", "x": one.value})
            deployment.ended(deployment.train(f"{name}@{sha} gpu=a100 hours=1 -- true"))
    for port in (1, 2):
        deployment.ended(deployment.train(f"http://127.0.0.1:{port}/acme/vit@main gpu=a100 hours=1 -- true"))


def _messages(deployment: Deployment) -> list[str]:
    """Return every message that the workspace has, whoever it was for."""
    for job in deployment.jobs():
        deployment.ended(job)
    deployment.until(lambda: not deployment.owed())
    people = deployment.people
    found = []
    for message in people.messages(CHANNEL):
        found += [str(one) for one in people.thread(CHANNEL, message["ts"])]
    for who in ("ada", "lea", "tam", "gus"):
        found += [str(one) for one in people.ephemerals(who, None)] + [str(one) for one in people.dms(who)]
    return found


def _in(place: str, data: bytes, planted: Sequence[Planted]) -> list[Seen]:
    return [Seen(kind=one.kind, place=place) for one in planted if any(form in data for form in one.forms())]

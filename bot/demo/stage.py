"""The demo's stage: a folder, a git host, a stand-in Slack, the bot and the reaper; and how they are taken down."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from bot.demo.processes import Process
from bot.demo.repository import GitHost, make
from bot.machines import connected
from bot.manifest import manifest
from bot.sandbox import AppConfig, Sandbox, SandboxError
from jobs.clock import SystemClock
from jobs.errors import Misconfigured, ProviderError
from jobs.providers import InstanceState
from jobs.settings import Settings, load

CONNECT_LIMIT = 60.0  # seconds; a cold start on two busy cores takes a few
# What `.ci/engine.sh` builds: PyTorch's CPU build, a fifth of the image that the demo's task file names.
SMALL_IMAGE = "hourglass-test/torch:cpu"
# Dollars an hour that the demo's team books for its own machine, so that the ledger has something to show.
DOCKER_RATE = "1.20"
LEAD, RESEARCHER, TEAMMATE, CHANNEL = "lea", "ada", "tam", "#vision"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the demo was asked to be."""

    folder: Path
    provider: str  # "practice" or "docker"
    port: int  # of the page; 0 takes a free one
    image: str = ""  # for docker: the container's image; empty: the stage looks for one
    steps: int = 0  # of the training; 0: as many as its script takes by itself
    reaper: bool = True
    logs: Path | None = None  # where the bot's and the reaper's logs go; the folder, where it is None


class Stage:
    """Everything that runs while the demo runs; leaving the context ends all of it, machines first."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._stack = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._build()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        # Whoever presses Ctrl-C twice means it; what is being ended is ended all the same.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._stack.close()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)  # what is ignored here would be ignored by every later child, too

    def _build(self) -> None:
        folder = self.plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git: GitHost = make(folder / "git")
        self.sandbox = self._stack.enter_context(_open_sandbox(self.plan.port))
        self.environment = self._environment(folder)
        self.settings: Settings = load({**os.environ, **self.environment})
        self.image = self._image() if self.plan.provider == "docker" else ""
        # Entered before the processes, so it runs after them: nobody is left to launch what this ends.
        self._stack.callback(self.end_machines)
        self.bot = self.start_bot()
        if self.plan.reaper:
            arguments = ["reap", "--every", "60"]
            self.reaper = Process("reaper", arguments, self.environment, self._log("reaper"))
            self._stack.callback(self.reaper.close)

    def start_bot(self) -> Process:
        """Start `hourglass serve` and return once it is connected to the workspace."""
        process = Process("bot", ["serve"], self.environment, self._log("bot"))
        self._stack.callback(process.close)
        waited = 0.0
        while not self.sandbox.connections():
            process.check()
            if waited >= CONNECT_LIMIT:
                raise Misconfigured(f"The bot did not connect within {CONNECT_LIMIT:.0f} s; see {process.log}.")
            waited += 0.5
            try:
                self.sandbox.people.wait_for(self.sandbox.connections, timeout=0.5)
            except TimeoutError:
                continue
        return process

    def _image(self) -> str:
        """Return what a container runs: as asked, as configured, or what needs no download; empty: the task file's."""
        if named := self.plan.image or self.settings.docker_image:
            return named
        from jobs.providers.docker import Docker

        engine = connected(self.settings, SystemClock())["docker"]
        try:
            return SMALL_IMAGE if isinstance(engine, Docker) and engine.has(SMALL_IMAGE) else ""
        except ProviderError as error:
            raise Misconfigured(
                f"{error} `sudo .ci/engine.sh` installs and starts one on Debian and Ubuntu."
            ) from error

    def _log(self, name: str) -> Path:
        folder = self.plan.logs or self.plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.log"

    def end_machines(self) -> int:
        """End every machine of this demo, as its reaper would at their deadlines; return how many there were."""
        ended = 0
        for provider in connected(self.settings, SystemClock()).values():
            try:
                for instance in provider.list():
                    # One that ended by itself too: an engine keeps its record until somebody asks.
                    provider.terminate(instance)
                    ended += instance.state is not InstanceState.GONE
            except ProviderError as error:
                raise Misconfigured(f"A machine of the demo may still run: {error}") from error
        return ended

    def _environment(self, folder: Path) -> Mapping[str, str]:
        people = self.sandbox.people
        return {
            "SLACK_BOT_TOKEN": self.sandbox.bot_token,
            "SLACK_APP_TOKEN": self.sandbox.app_token,
            "SLACK_API_URL": self.sandbox.api_url,
            "HOURGLASS_HOME": str(uuid.uuid4()),
            "HOURGLASS_STATE": str(folder.absolute()),
            "HOURGLASS_PROVIDERS": self.plan.provider,
            "HOURGLASS_GIT_HOSTS": self.git.prefix,
            "HOURGLASS_LEADS": people.user_id(LEAD),
            "HOURGLASS_TEAM": "vision",
            "HOURGLASS_WEB_PORT": str(_free_port()),
            "HOURGLASS_FOLLOW_SECONDS": "1",
            "HOURGLASS_DOCKER_RATE": os.environ.get("HOURGLASS_DOCKER_RATE", DOCKER_RATE),
            # A real deployment's, where the demo is started beside one: it has its own.
            "DATABASE_URL": "",
            "HOURGLASS_STORE": "",
            "SLACK_SIGNING_SECRET": "",
        }


def _open_sandbox(port: int) -> Sandbox:
    try:
        return Sandbox.start(port, app=AppConfig.from_manifest(manifest()))
    except SandboxError as error:
        raise Misconfigured(f"Port {port} is taken. Choose another: make demo ARGS='--port 8500'") from error


def _free_port() -> int:
    # The links that the bot posts carry its port, and must outlive a restart of the bot: it cannot be the
    # bot that picks a free one. Somebody else taking it in between makes the bot say so at its start.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""The `git` program, as the one door to other people's repositories.

Every call is an argument list in an environment built from nothing: no configuration of this computer's, no
hooks, no prompts, no protocol but the operator's hosts', no redirect to another address. Tokens travel in that
environment, bound to their host, and never in an argument, an address or a message. Mirrors are bare: nothing is
ever checked out.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one repository may take of this computer."""

    seconds: float = 180.0  # of one fetch
    mirror_bytes: int = 4 << 30
    tree_bytes: int = 1 << 30  # a commit unpacked, submodules included
    files: int = 100_000
    modules: int = 50  # submodules, at any depth


class Trouble(StrEnum):
    """Why git did not do what was asked, as far as its words tell."""

    NO_REPOSITORY = "no_repository"
    LOGIN = "login"
    UNREACHABLE = "unreachable"
    REDIRECTED = "redirected"
    TOO_SLOW = "too_slow"
    TOO_LARGE = "too_large"
    OTHER = "other"


class GitFailed(Exception):
    """Git did not do what was asked; `said` is its last line, without secrets. Never leaves `jobs.source`."""

    def __init__(self, trouble: Trouble, said: str) -> None:
        super().__init__(f"{trouble}: {said}")
        self.trouble = trouble
        self.said = said


# In this order: a private repository without a token reads as "could not read Username".
_WORDS: Final = (
    (Trouble.REDIRECTED, r"redirect|returned error: 30\d"),
    (Trouble.LOGIN, r"could not read (?:Username|Password)|Authentication failed|returned error: 40[13]"),
    (Trouble.LOGIN, r"Permission denied|access denied"),
    (Trouble.UNREACHABLE, r"Could not resolve|Failed to connect|Couldn't connect|Network is unreachable"),
    (Trouble.UNREACHABLE, r"Connection (?:refused|reset|timed out)|Operation timed out|Operation too slow|Empty reply"),
    (Trouble.UNREACHABLE, r"returned error: (?:5\d\d|429)|SSL|gnutls|early EOF|unexpected disconnect|RPC failed"),
    (Trouble.NO_REPOSITORY, r"not found|does not appear to be a git repository|does not exist|No such file"),
)
# What a proxy, a private certificate authority or an ssh agent needs; nothing else of this process's is handed on.
_HANDED_ON: Final = (
    *("PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
_LOOK_SECONDS: Final = 0.25  # between looks at how large a mirror has become


class Git:
    """Runs git; safe to use from several threads."""

    def __init__(
        self,
        *,
        home: Path,
        hosts: Sequence[str],
        tokens: Mapping[str, SecretStr],
        limits: Limits,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Keep git's own home under `home`; `tokens` are by the prefix of the addresses that they open."""
        self._limits = limits
        self._tokens = {prefix: token.get_secret_value() for prefix, token in tokens.items()}
        home.mkdir(parents=True, exist_ok=True)
        # Not a `-c`: only a configuration file may say that folders of another user's are to be read.
        (home / "gitconfig").write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
        names = os.environ if environment is None else environment
        self._environment = {
            **{name: names[name] for name in _HANDED_ON if name in names},
            "HOME": str(home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",  # a replaced object would be another commit under the same name
            "GIT_ALLOW_PROTOCOL": ":".join(sorted({_protocol(host) for host in hosts})),
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=15",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
            "GIT_HTTP_LOW_SPEED_TIME": "30",
        }

    def run(self, *words: str, at: Path, online: bool = False) -> bytes:
        """Return what `git <words>` printed, run in the bare repository `at`.

        `online` hands the tokens over and watches the size of `at`. Raises `GitFailed`.
        """
        began = time.monotonic()
        process = self._start(["git", *words], at, online=online)
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=_LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() - began > self._limits.seconds:
                        raise GitFailed(Trouble.TOO_SLOW, f"no end after {self._limits.seconds:.0f} s") from None
                    self._check_size(at)
        finally:
            _end(process)
        if online:
            self._check_size(at)
        if process.returncode != 0:
            raise self._failed(errors.decode("utf-8", "replace"))
        return output

    @contextlib.contextmanager
    def objects(self) -> Iterator[Objects]:
        """Open a reader of single objects; whatever it started ends when the block is left or takes too long."""
        reader = Objects(lambda at: self._start(["git", "cat-file", "--batch"], at, asked=True))
        guard = threading.Timer(self._limits.seconds, reader.close)
        guard.daemon = True
        guard.start()
        try:
            yield reader
        finally:
            guard.cancel()
            reader.close()

    def _start(
        self, words: Sequence[str], at: Path, *, online: bool = False, asked: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start git; `asked` opens its input for questions and leaves its complaints unread."""
        return subprocess.Popen(
            words,
            cwd=at,
            env={**self._environment, "GIT_DIR": str(at), **self._configuration(online=online)},
            stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if asked else subprocess.PIPE,
            start_new_session=True,  # so that its own children end with it
        )

    def _configuration(self, *, online: bool) -> dict[str, str]:
        """Return settings as environment: stronger than any file's, and not in the argument list."""
        pairs = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("credential.helper", ""),
            ("http.followRedirects", "false"),
            ("fetch.recurseSubmodules", "false"),
            ("fetch.unpackLimit", "1"),
            ("gc.autoDetach", "false"),
            ("maintenance.autoDetach", "false"),
        ]
        if online:
            pairs += [(f"http.{prefix}.extraHeader", _header(token)) for prefix, token in self._tokens.items()]
        names = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for at, (key, value) in enumerate(pairs):
            names |= {f"GIT_CONFIG_KEY_{at}": key, f"GIT_CONFIG_VALUE_{at}": value}
        return names

    def _check_size(self, at: Path) -> None:
        size = 0
        for folder, _, names in os.walk(at):
            for name in names:
                with contextlib.suppress(OSError):  # git renames its temporary files while this looks
                    size += (Path(folder) / name).stat().st_size
        if size > self._limits.mirror_bytes:
            raise GitFailed(Trouble.TOO_LARGE, f"more than {self._limits.mirror_bytes >> 20} MB")

    def _failed(self, errors: str) -> GitFailed:
        for token in self._tokens.values():
            errors = errors.replace(token, "***").replace(_header(token).rpartition(" ")[2], "***")
        lines = [line for line in errors.splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        said = next((line for line in reversed(lines) if line.startswith(("fatal:", "error:"))), last)
        without_names = re.sub(r"'[^']*'", "", errors)  # a repository may be called `redirect`
        for trouble, words in _WORDS:
            if re.search(words, without_names):
                return GitFailed(trouble, said)
        return GitFailed(Trouble.OTHER, said)


class Objects:
    """Reads objects out of bare repositories, one after another; one process a repository."""

    def __init__(self, start: Callable[[Path], subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._processes: dict[Path, subprocess.Popen[bytes]] = {}

    def read(self, at: Path, sha: str) -> bytes:
        """Return the content of object `sha` of the repository `at`; raises `GitFailed` where it cannot be read."""
        if at not in self._processes:
            self._processes[at] = self._start(at)
        asked, answer = _pipes(self._processes[at])
        try:
            asked.write(f"{sha}\n".encode())
            asked.flush()
            size = int(answer.readline().split(b" ")[-1])  # "<sha> <type> <size>", or "<sha> missing"
            content = answer.read(size + 1)
        except (OSError, ValueError) as error:  # the guard closed the pipes, or there is no such object
            raise GitFailed(Trouble.OTHER, f"object {sha} cannot be read") from error
        if len(content) != size + 1:
            raise GitFailed(Trouble.TOO_SLOW, "the mirror could not be read in time")
        return content[:-1]

    def close(self) -> None:
        """End what was started."""
        for process in list(self._processes.values()):
            _end(process)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise GitFailed(Trouble.OTHER, "git was started without pipes")
    return process.stdin, process.stdout


def _protocol(host: str) -> str:
    return urlsplit(host).scheme if "://" in host else "ssh"


def _header(token: str) -> str:
    """Return the header that hosts take a token in; `name:token` says the name that a host insists on."""
    pair = token if ":" in token else f"x-access-token:{token}"
    return "Authorization: Basic " + base64.b64encode(pair.encode()).decode()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

"""Real programs are handed the corpus: bash, git and a child process see strings, and nothing is run."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from jobs import boot
from jobs.errors import BadRequest, BadSource
from jobs.source import SourceResolver
from tests.security.corpus import STRINGS, armed
from tests.spec.repositories import Host, Repository
from trainer.command import Command
from trainer.output import Output, Redactor

BASH = "/bin/bash"
# What an environment and an argument list can hold at all.
HOLDABLE = tuple(text for text in STRINGS if "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def bash(script: bytes, folder: Path) -> bytes:
    """Return what bash printed; it must find nothing to complain of."""
    path = folder / "script"
    path.write_bytes(script)
    subprocess.run([BASH, "-n", str(path)], check=True, env={})
    done = subprocess.run([BASH, str(path)], check=True, capture_output=True, env={"PATH": os.environ["PATH"]})
    assert done.stderr == b""
    return done.stdout


def test_the_bundle_gives_every_string_back(tmp_path: Path, canary: Path) -> None:
    texts = [armed(text, str(canary)) for text in HOLDABLE]
    env = {f"V{number}": text for number, text in enumerate(texts)}
    packed = boot.pack(
        boot.Bundle(
            env=env, trainer_url=texts[0], outcome_url=texts[1], spoken_url="s", discard_url="d", boot_urls=texts
        )
    )
    urls = bash(packed + b'printf "%s\\0" "${BOOT_URLS[@]}"\n', tmp_path)
    assert urls.split(b"\0")[:-1] == [text.encode() for text in texts]
    said = bash(packed + b'printf "%s" "$ENV_BASE64"\n', tmp_path)
    sourced = base64.b64decode(said)
    asked = b"".join(b'printf "%%s\\0" "$V%d"\n' % number for number in range(len(texts)))
    assert bash(sourced + asked, tmp_path).split(b"\0")[:-1] == [text.encode() for text in texts]
    assert not canary.exists()


def test_the_boot_script_s_head_gives_every_string_back(tmp_path: Path, canary: Path) -> None:
    # The values that a rental can have are narrower; the head must hold whatever comes.
    for text in (armed(text, str(canary)) for text in HOLDABLE if len(text) < 1000 and "\n" not in text):
        head = b"".join(f"{boot._line(name, text)}\n".encode() for name in ("IMAGE", "BUNDLE_URL"))
        assert bash(head + b'printf "%s\\0%s" "$IMAGE" "$BUNDLE_URL"\n', tmp_path) == b"\0".join([text.encode()] * 2)
    assert not canary.exists()


def test_a_command_gets_every_word_as_it_is(tmp_path: Path, canary: Path) -> None:
    texts = [armed(text, str(canary)) for text in HOLDABLE]
    script = "import json, os, sys; json.dump([sys.argv[1:], os.environ['X']], open('seen.json', 'w'))"
    for text in texts[::40]:
        env = {"PATH": os.environ["PATH"], "X": text}
        output = Output(redactor=Redactor({}), log=print, watch=print)
        command = Command([sys.executable, "-c", script, *texts], cwd=tmp_path, env=env, output=output)
        while not command.poll():
            os.waitid(os.P_PID, command._process.pid, os.WEXITED | os.WNOWAIT)  # type: ignore[union-attr]
        assert command.finish() == 0
        assert json.loads((tmp_path / "seen.json").read_text()) == [texts, text]
    assert not canary.exists()


# ------------------------------------------------------------ git


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "home").mkdir()
    return Host(root=tmp_path / "host", home=tmp_path / "home")


@pytest.fixture
def vit(host: Host) -> Repository:
    repository = host.repository("acme/vit")
    repository.commit({"train.py": "print(1)"})
    return repository


@pytest.fixture
def resolver(host: Host, tmp_path: Path) -> SourceResolver:
    return SourceResolver(git_hosts=(host.prefix,), git_tokens={}, cache_dir=tmp_path / "cache")


def test_git_is_asked_for_nothing_but_names(
    resolver: SourceResolver, vit: Repository, canary: Path, tmp_path: Path
) -> None:
    texts = [armed(text, str(canary)) for text in STRINGS]
    asked = 0
    for text in texts:
        for repo, ref in ((text, "main"), (f"acme/{text}", "main"), ("acme/vit", text)):
            try:
                resolver.resolve(repo, ref)
            except BadRequest as error:
                assert str(error).isprintable() or "\n" in text or not text.isprintable()
            asked += 1
    assert asked == 3 * len(texts)
    assert not canary.exists()
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"home", "host", "cache"}


ADDRESSES = (
    "ext::sh -c 'touch CANARY'", "--upload-pack=touch CANARY", "-u./payload", "file:///etc", "../../../../etc",
    "ssh://-oProxyCommand=touch%20CANARY/x/y", "git@-oProxyCommand=touch CANARY:x/y", "$(touch CANARY)",
    "`touch CANARY`", "https://user:word@127.0.0.1:1/x/y", "fd::17/x", "http://127.0.0.1:1/x/y", "/etc", ".", "..",
    "acme/vit;touch CANARY", "\ttouch CANARY", "\x1b[31mred", "<!channel>", "\u202ex/y",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
def test_a_submodule_leads_nowhere_else(resolver: SourceResolver, vit: Repository, canary: Path, address: str) -> None:
    address = armed(address, str(canary))
    sha = vit.git("rev-parse", "HEAD")
    quoted = '"' + address.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
    vit.commit({".gitmodules": f'[submodule "lib"]\n\tpath = lib\n\turl = {quoted}\n\tupdate = !touch {canary}\n'})
    vit.git("update-index", "--add", "--cacheinfo", f"160000,{sha},lib")
    vit.git("commit", "--quiet", "-m", "Add lib")
    with pytest.raises(BadSource):
        resolver.resolve("acme/vit", "main")
    assert not canary.exists()


def test_what_a_repository_carries_is_never_run(
    resolver: SourceResolver, vit: Repository, canary: Path, tmp_path: Path
) -> None:
    hook = f"#!/bin/sh\ntouch {canary}\n"
    vit.commit(
        {
            ".gitattributes": "* filter=evil diff=evil merge=evil export-subst\n*.py export-ignore\n",
            ".gitconfig": f'[filter "evil"]\n\tsmudge = touch {canary}\n[core]\n\tfsmonitor = touch {canary}\n',
            ".lfsconfig": f'[lfs]\n\turl = "ext::touch {canary}"\n',
            "hooks/post-checkout": hook,
            "$Format:%H$": "$Format:%H$",
        },
        message="$(touch CANARY) <!channel> \u202e\x1b[31m `x`",
    )
    for name in ("post-checkout", "post-merge", "pre-receive", "update", "post-update", "reference-transaction"):
        path = vit.path / ".git" / "hooks" / name
        path.write_text(hook)
        path.chmod(0o755)
    source = resolver.resolve("acme/vit", "main")
    assert source.subject.isprintable()
    resolver.pack(source, tmp_path / "source.tar.gz")
    with tarfile.open(tmp_path / "source.tar.gz") as packed:
        assert {"train.py", "$Format:%H$", ".gitattributes"} <= set(packed.getnames())
    assert not canary.exists()


def test_files_of_any_name_are_carried_as_they_are_or_refused_by_name(
    resolver: SourceResolver, vit: Repository, canary: Path, tmp_path: Path
) -> None:
    texts = [armed(text, str(canary)) for text in HOLDABLE]
    names = sorted({text.replace("/", "_") for text in texts if 0 < len(text.encode()) < 200} - {".", "..", "_.git_x"})
    vit.commit({f"d/{name}": "x" for name in names if name.lower() != ".git"})
    source = resolver.resolve("acme/vit", "main")
    resolver.pack(source, tmp_path / "source.tar.gz")
    with tarfile.open(tmp_path / "source.tar.gz") as packed:
        assert {name for name in packed.getnames() if name.startswith("d/")} == {f"d/{name}" for name in names}
    assert not canary.exists()


def test_branches_of_any_name_change_nothing(resolver: SourceResolver, vit: Repository, canary: Path) -> None:
    taken = 0
    for text in HOLDABLE[::3]:
        words = ["git", "update-ref", f"refs/heads/{armed(text, str(canary))}", "HEAD"]
        done = subprocess.run(words, cwd=vit.path, env=dict(vit.environment), capture_output=True)
        taken += done.returncode == 0
    assert taken > 10  # git itself does not take the others
    with pytest.raises(BadSource, match="has no branch"):
        resolver.resolve("acme/vit", "nothing-like-it")
    assert resolver.resolve("acme/vit", "main").sha == vit.git("rev-parse", "main")
    assert not canary.exists()

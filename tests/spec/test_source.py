"""Commits out of real repositories: what is found, what is refused, and what the refusal tells people to type."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from jobs.errors import BadSource
from jobs.source import Limits, SourceResolver
from tests.spec.repositories import Host, Repository

TASK = "commands: [python train.py]\n"


@pytest.fixture
def vit(host: Host) -> Repository:
    repository = host.repository("acme/vit")
    repository.commit({"train.py": "print('hello')\n", ".hourglass.yml": TASK}, "Train a transformer")
    return repository


def refusal(resolver: SourceResolver, repo: str, ref: str) -> str:
    with pytest.raises(BadSource) as caught:
        resolver.resolve(repo, ref)
    return str(caught.value)


# ---------------------------------------------------------------- finding


def test_a_branch_is_the_full_sha_that_it_names_now_with_subject_and_task_file(
    resolver: SourceResolver, vit: Repository, host: Host
) -> None:
    source = resolver.resolve("acme/vit", "main")

    assert source.sha == vit.git("rev-parse", "HEAD")
    assert (source.repo, source.subject, source.task_file) == ("acme/vit", "Train a transformer", TASK)
    assert source.url == f"{host.prefix}acme/vit"


def test_a_branch_that_moved_is_followed(resolver: SourceResolver, vit: Repository) -> None:
    before = resolver.resolve("acme/vit", "main").sha
    after = vit.commit({"train.py": "print('better')\n"})

    assert before != after
    assert resolver.resolve("acme/vit", "main").sha == after


def test_tags_full_shas_and_short_shas_name_the_same_commit(resolver: SourceResolver, vit: Repository) -> None:
    sha = vit.git("rev-parse", "HEAD")
    vit.git("tag", "-a", "v1", "-m", "first")

    assert {resolver.resolve("acme/vit", ref).sha for ref in ("v1", "tags/v1", sha, sha[:7], sha.upper())} == {sha}


def test_a_whole_address_on_the_host_is_the_same_repository(
    resolver: SourceResolver, vit: Repository, host: Host
) -> None:
    assert resolver.resolve(f"{host.prefix}acme/vit", "main").repo == "acme/vit"


def test_the_second_host_is_reached_by_its_whole_address(host: Host, vit: Repository, tmp_path: Path) -> None:
    other = Host(root=tmp_path / "other", home=host.home)
    sha = other.repository("lab/llm").commit({"a": "1"})
    resolver = SourceResolver(git_hosts=[host.prefix, other.prefix], git_tokens={}, cache_dir=tmp_path / "cache")

    assert resolver.resolve(f"{other.prefix}lab/llm", "main").sha == sha


def test_the_longer_name_of_the_task_file_is_read_too(resolver: SourceResolver, host: Host) -> None:
    host.repository("acme/long").commit({".hourglass.yaml": TASK})

    assert resolver.resolve("acme/long", "main").task_file == TASK


def test_two_threads_may_ask_for_the_same_repository_at_once(resolver: SourceResolver, vit: Repository) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolver.resolve("acme/vit", "main").sha)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == [vit.git("rev-parse", "HEAD")] * 4


# ---------------------------------------------------------------- refusing


def test_a_misspelt_branch_is_answered_with_the_nearest(resolver: SourceResolver, vit: Repository) -> None:
    said = refusal(resolver, "acme/vit", "mian")

    assert "no branch or tag `mian`" in said
    assert "did you mean `acme/vit@main`" in said


def test_an_unknown_branch_is_answered_with_a_few_that_there_are(resolver: SourceResolver, vit: Repository) -> None:
    for number in range(8):
        vit.git("branch", f"exp-{number}")
    said = refusal(resolver, "acme/vit", "zzz")

    assert "`exp-0`" in said
    assert "and 4 more" in said


def test_an_unknown_repository_is_not_an_unknown_branch(resolver: SourceResolver, vit: Repository) -> None:
    assert "There is no repository `acme/vlt`" in refusal(resolver, "acme/vlt", "main")


def test_a_repository_without_a_commit_says_so(resolver: SourceResolver, host: Host) -> None:
    host.repository("acme/empty")

    assert "It has no branches yet: push one." in refusal(resolver, "acme/empty", "main")


def test_an_unknown_commit_asks_whether_it_was_pushed(resolver: SourceResolver, vit: Repository) -> None:
    assert "has no commit `0123456789ab` on any branch or tag" in refusal(
        resolver, "acme/vit", "0123456789ab" + "0" * 28
    )
    assert "has no commit `0123456`" in refusal(resolver, "acme/vit", "0123456")


def test_a_commit_of_a_pull_request_is_served_by_the_host_and_still_refused(
    resolver: SourceResolver, vit: Repository
) -> None:
    vit.git("config", "uploadpack.allowAnySHA1InWant", "true")
    vit.git("checkout", "--quiet", "-b", "theirs")
    foreign = vit.commit({"train.py": "import os; os.system('mine coins')\n"})
    vit.git("update-ref", "refs/pull/1/head", foreign)
    vit.git("checkout", "--quiet", "main")
    vit.git("branch", "-D", "theirs")

    assert "from a fork or a pull request" in refusal(resolver, "acme/vit", foreign)
    assert "has no commit" in refusal(resolver, "acme/vit", foreign[:10])
    assert "no branch" in refusal(resolver, "acme/vit", "pull/1/head")


def test_a_commit_whose_branch_was_deleted_counts_no_more(resolver: SourceResolver, vit: Repository) -> None:
    vit.git("checkout", "--quiet", "-b", "gone")
    sha = vit.commit({"train.py": "print('old')\n"})
    assert resolver.resolve("acme/vit", sha).sha == sha

    vit.git("checkout", "--quiet", "main")
    vit.git("branch", "-D", "gone")

    assert "No branch or tag" in refusal(resolver, "acme/vit", sha) or "has no commit" in refusal(
        resolver, "acme/vit", sha
    )


def test_a_name_that_is_branch_and_tag_of_two_commits_must_be_said_in_full(
    resolver: SourceResolver, vit: Repository
) -> None:
    first = vit.git("rev-parse", "HEAD")
    vit.git("tag", "v1")
    second = vit.commit({"train.py": "print('two')\n"})
    vit.git("branch", "v1")

    assert "`acme/vit@heads/v1` or `acme/vit@tags/v1`" in refusal(resolver, "acme/vit", "v1")
    assert resolver.resolve("acme/vit", "heads/v1").sha == second
    assert resolver.resolve("acme/vit", "refs/tags/v1").sha == first


def test_a_tag_of_something_else_than_a_commit_is_refused(resolver: SourceResolver, vit: Repository) -> None:
    vit.git("tag", "blob", vit.git("rev-parse", "HEAD:train.py"))

    assert "names no commit" in refusal(resolver, "acme/vit", "blob")


def test_a_blob_of_the_repository_is_no_commit(resolver: SourceResolver, vit: Repository) -> None:
    assert "has no commit" in refusal(resolver, "acme/vit", vit.git("rev-parse", "HEAD:train.py"))


@pytest.mark.parametrize(
    "ref", ["-main", "--upload-pack=touch /tmp/x", "a b", "main;id", "$(id)", "`id`", "a..b", "@{-1}", "x:y", ""]
)
def test_refs_that_are_none_never_reach_git(resolver: SourceResolver, vit: Repository, ref: str) -> None:
    assert "cannot be a" in refusal(resolver, "acme/vit", ref)


@pytest.mark.parametrize(
    "repo",
    [
        "-x/vit",
        "acme/../../etc",
        "acme",
        "acme/vit;id",
        "ext::sh -c id",
        "https://evil.example/acme/vit",
        "file:///etc/vit",
    ],
)
def test_repositories_elsewhere_or_nowhere_never_reach_git(
    resolver: SourceResolver, vit: Repository, repo: str
) -> None:
    said = refusal(resolver, repo, "main")

    assert "is not a repository" in said or "not on a host that is used here" in said or "begins with `-`" in said


def test_a_host_that_does_not_answer_is_not_an_unknown_repository(tmp_path: Path) -> None:
    # Nobody listens on port 1 of this computer.
    down = SourceResolver(git_hosts=["http://127.0.0.1:1/"], git_tokens={}, cache_dir=tmp_path / "cache")

    assert "127.0.0.1 did not answer" in refusal(down, "acme/vit", "main")


def test_a_repository_that_grows_past_the_limit_is_given_up_and_leaves_nothing(
    host: Host, vit: Repository, tmp_path: Path
) -> None:
    vit.commit({"noise.bin": bytes(hashlib.sha256(b"%d" % n).digest()[0] for n in range(300_000))})
    small = SourceResolver(
        git_hosts=[host.prefix], git_tokens={}, cache_dir=tmp_path / "cache", limits=Limits(mirror_bytes=200_000)
    )

    assert "is larger than" in refusal(small, "acme/vit", "main")
    assert not list((tmp_path / "cache" / "mirrors").glob("*.git"))


def test_a_commit_that_is_too_large_or_has_too_many_files_is_refused(
    host: Host, vit: Repository, tmp_path: Path
) -> None:
    def limited(limits: Limits) -> SourceResolver:
        return SourceResolver(git_hosts=[host.prefix], git_tokens={}, cache_dir=tmp_path / "cache", limits=limits)

    assert "MB are carried" in refusal(limited(Limits(tree_bytes=10)), "acme/vit", "main")
    assert "holds 2 files; 1 are carried" in refusal(limited(Limits(files=1)), "acme/vit", "main")


# ---------------------------------------------------------------- what is in the commit


def test_two_task_files_a_link_and_a_large_one_are_refused(resolver: SourceResolver, host: Host) -> None:
    host.repository("acme/both").commit({".hourglass.yml": TASK, ".hourglass.yaml": TASK})
    host.repository("acme/huge").commit({".hourglass.yml": "#" * 70_000})
    host.repository("acme/latin").commit({".hourglass.yml": b"image: caf\xe9\n"})
    linked = host.repository("acme/linked")
    (linked.path / ".hourglass.yml").symlink_to("other.yml")
    linked.commit({"other.yml": TASK})

    assert "has both" in refusal(resolver, "acme/both", "main")
    assert "larger than 64 KB" in refusal(resolver, "acme/huge", "main")
    assert "not UTF-8" in refusal(resolver, "acme/latin", "main")
    assert "is a link" in refusal(resolver, "acme/linked", "main")


def test_a_pointer_to_lfs_is_refused_by_its_name(resolver: SourceResolver, vit: Repository) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    vit.commit({"data/weights.bin": pointer})

    assert "`data/weights.bin` is a pointer to Git LFS" in refusal(resolver, "acme/vit", "main")


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "up/../..", "loop"])
def test_a_link_that_leaves_the_tree_is_refused(resolver: SourceResolver, vit: Repository, target: str) -> None:
    (vit.path / "a" / "b").mkdir(parents=True)
    (vit.path / "a" / "b" / "up").symlink_to("../..")
    (vit.path / "up").symlink_to("a/b/up")
    (vit.path / "loop").symlink_to("loop")
    name = "loop" if target == "loop" else "bad"
    if name == "bad":
        (vit.path / "loop").unlink()
        (vit.path / "bad").symlink_to(target)
    vit.commit({})

    assert f"`{name}` is a link to `{target}`, which leads out of the repository" in refusal(
        resolver, "acme/vit", "main"
    )


# ---------------------------------------------------------------- packing


def unpacked(archive: Path) -> dict[str, bytes | str]:
    with tarfile.open(archive) as packed:
        found: dict[str, bytes | str] = {}
        for member in packed.getmembers():
            file = packed.extractfile(member) if member.isfile() else None
            found[member.name] = file.read() if file else member.linkname
        return found


def test_the_archive_is_exactly_the_commit_whatever_the_attributes_say(
    resolver: SourceResolver, vit: Repository, tmp_path: Path
) -> None:
    (vit.path / "link").symlink_to("train.py")
    vit.commit(
        {
            ".gitattributes": "secret.txt export-ignore\nversion.txt export-subst\n*.py eol=crlf\n",
            "secret.txt": "still here\n",
            "version.txt": "$Format:%H$\n",
            "run.sh": "#!/bin/sh\n",
            "naïve/data ü.txt": "x",
        }
    )
    vit.git("update-index", "--chmod=+x", "run.sh")
    vit.git("commit", "--quiet", "-m", "Run it")
    out = tmp_path / "source.tar.gz"

    digest = resolver.pack(resolver.resolve("acme/vit", "main"), out)

    assert hashlib.sha256(out.read_bytes()).hexdigest() == digest
    files = unpacked(out)
    assert files["train.py"] == b"print('hello')\n"
    assert files["secret.txt"] == b"still here\n"
    assert files["version.txt"] == b"$Format:%H$\n"
    assert files["naïve/data ü.txt"] == b"x"
    assert files["link"] == "train.py"
    assert set(files) == set(vit.git("-c", "core.quotePath=false", "ls-files").splitlines())
    with tarfile.open(out) as packed:
        assert (packed.getmember("run.sh").mode, packed.getmember("train.py").mode) == (0o755, 0o644)


def test_the_same_commit_makes_the_same_bytes_on_another_computer(
    resolver: SourceResolver, host: Host, vit: Repository, tmp_path: Path
) -> None:
    source = resolver.resolve("acme/vit", "main")
    elsewhere = SourceResolver(git_hosts=[host.prefix], git_tokens={}, cache_dir=tmp_path / "other-cache")

    assert resolver.pack(source, tmp_path / "a") == elsewhere.pack(source, tmp_path / "b")
    assert gzip.decompress((tmp_path / "a").read_bytes()) == gzip.decompress((tmp_path / "b").read_bytes())


def test_packing_needs_no_host_once_the_commit_is_mirrored(
    resolver: SourceResolver, vit: Repository, tmp_path: Path
) -> None:
    source = resolver.resolve("acme/vit", "main")
    vit.path.rename(vit.path.with_name("moved-away"))

    assert resolver.pack(source, tmp_path / "out") != ""


def test_submodules_are_in_the_archive_at_their_own_commits(
    resolver: SourceResolver, host: Host, vit: Repository, tmp_path: Path
) -> None:
    inner = host.repository("acme/inner")
    inner.commit({"deep.txt": "deep"})
    lib = host.repository("acme/lib")
    lib.commit({"lib.py": "one"})
    lib.git("submodule", "--quiet", "add", "../inner", "inner")
    lib.commit({})
    vit.git("submodule", "--quiet", "add", f"{host.prefix}acme/lib", "third party/lib")
    vit.commit({})
    lib.commit({"lib.py": "two, which nobody asked for"})

    source = resolver.resolve("acme/vit", "main")
    resolver.pack(source, tmp_path / "out")

    files = unpacked(tmp_path / "out")
    assert files["third party/lib/lib.py"] == b"one"
    assert files["third party/lib/inner/deep.txt"] == b"deep"


def test_a_submodule_on_another_host_or_at_an_unreachable_commit_is_refused_by_its_name(
    resolver: SourceResolver, host: Host, vit: Repository, tmp_path: Path
) -> None:
    foreign = Host(root=tmp_path / "foreign", home=host.home)
    foreign.repository("evil/lib").commit({"lib.py": "x"})
    vit.git("submodule", "--quiet", "add", f"{foreign.prefix}evil/lib", "lib")
    vit.commit({})
    said = refusal(resolver, "acme/vit", "main")
    assert "The submodule `lib`" in said
    assert "not on a host that is used here" in said

    other = host.repository("acme/other")
    lib = host.repository("acme/lib")
    lib.commit({"lib.py": "x"})
    other.git("submodule", "--quiet", "add", f"{host.prefix}acme/lib", "lib")
    other.commit({})
    lib.git("commit", "--quiet", "--amend", "-m", "Rewritten")
    assert "The submodule `lib`" in refusal(resolver, "acme/other", "main")


def test_a_submodule_without_an_address_is_refused(resolver: SourceResolver, host: Host, vit: Repository) -> None:
    vit.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},ghost")
    vit.git("commit", "--quiet", "-m", "A submodule of nothing")

    assert "`ghost` has no address in `.gitmodules`" in refusal(resolver, "acme/vit", "main")


def test_a_tree_with_a_path_that_climbs_is_refused(resolver: SourceResolver, vit: Repository) -> None:
    blob = vit.git("rev-parse", "HEAD:train.py")
    entry = b"100644 ..\0" + bytes.fromhex(blob)
    tree = _hashed(vit, "tree", entry)
    sha = vit.git("commit-tree", tree, "-m", "Climb")
    vit.git("branch", "climb", sha)

    assert "holds the path `..`, which cannot be unpacked" in refusal(resolver, "acme/vit", "climb")


def test_nothing_of_a_repository_is_run(resolver: SourceResolver, vit: Repository, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in ("post-checkout", "post-merge", "pre-receive", "reference-transaction"):
        hook = vit.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)
    vit.commit({".gitattributes": "*.py filter=x diff=x\n"})
    resolver.pack(resolver.resolve("acme/vit", "main"), tmp_path / "out")

    assert not mark.exists()


def _hashed(repository: Repository, kind: str, content: bytes) -> str:
    done = subprocess.run(
        ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"],
        cwd=repository.path,
        input=content,
        check=True,
        capture_output=True,
    )
    return done.stdout.decode().strip()

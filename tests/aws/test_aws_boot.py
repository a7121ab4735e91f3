"""The boot script and its bundle: short, the same each time, clean, and read by a real shell as they were meant."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import boot
from jobs.bootstrap import NOTICE_FILE
from jobs.errors import Rejected
from tests.support.metadata import Metadata
from trainer import archive
from trainer.notice import Source

LONG_URL = (
    "https://team-files.s3.eu-central-1.amazonaws.com/hg/launch/job/a1-r0/bundle?X-Amz-Security-Token=" + "t" * 1800
)


def a_boot(**changes: object) -> boot.Boot:
    """Return the boot of a small machine."""
    plan = boot.Boot(
        name="hg-0a1b2c3d-k3vd9wq-a1-r0",
        deadline=1_795_000_000,
        lifetime=14_400,
        image="pytorch/pytorch@sha256:" + "ab" * 32,
        gpus=1,
        shm_gb=16,
        notice="aws",
        trainer_sha256="cd" * 32,
        bundle_url=LONG_URL,
        bundle_sha256="ef" * 32,
    )
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]  # tests name fields by hand


def a_bundle(**changes: object) -> boot.Bundle:
    """Return a bundle with every link in it."""
    bundle = boot.Bundle(
        env={"HOURGLASS_JOB": "k3vd9wq"},
        trainer_url="https://store/trainer?sig=1&b=2",
        outcome_url="https://store/outcome?sig='2'",
        spoken_url="https://store/spoken?sig=3",
        discard_url="https://store/discard?sig=4",
        boot_urls=[f"https://store/boot/{number}?sig=5&x=$HOME" for number in range(3)],
    )
    return dataclasses.replace(bundle, **changes)  # type: ignore[arg-type]  # as above


def bash(script: str, *words: str) -> str:
    """Run a shell over it; return what it printed."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=20, check=True
    )
    return done.stdout


def test_equal_boots_are_equal_scripts_and_a_changed_one_differs() -> None:
    assert boot.script(a_boot()) == boot.script(a_boot())
    assert boot.script(a_boot()) != boot.script(a_boot(deadline=1_795_000_001))


def test_a_script_fits_into_user_data_even_with_a_session_token_in_its_link() -> None:
    assert len(boot.script(a_boot()).encode()) <= boot.SCRIPT_LIMIT


def test_a_script_that_does_not_fit_is_refused_with_its_size() -> None:
    with pytest.raises(Rejected, match=r"would have \d+ bytes and a machine takes 16384"):
        boot.script(a_boot(bundle_url="https://" + "x" * boot.SCRIPT_LIMIT))


def test_the_script_begins_as_cloud_init_wants_it_and_sets_the_timer_before_anything_is_written() -> None:
    text = boot.script(a_boot())
    assert text.startswith("#!/bin/bash\n")
    begin = text[text.index("\nbegin() {") :]
    assert begin.index("set_timer") < begin.index("mkdir") < begin.index("exec ")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck: apt-get install shellcheck")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text(boot.script(a_boot()))
    found = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_shell_reads_the_machines_values_as_they_were_given() -> None:
    image = "registry/it's:$(touch /tmp/never)"
    head = boot.script(a_boot(image=image)).partition("# The warden:")[0]
    assert bash(f'{head}\nprintf "%s|" "$NAME" "$IMAGE" "$DEADLINE" "$BUNDLE_URL"') == "|".join(
        ["hg-0a1b2c3d-k3vd9wq-a1-r0", image, "1795000000", LONG_URL, ""]
    )


def test_the_shell_reads_the_bundles_links_as_they_were_given(tmp_path: Path) -> None:
    bundle = a_bundle()
    path = tmp_path / "bundle"
    path.write_bytes(boot.pack(bundle))
    names = '"$TRAINER_URL" "$OUTCOME_URL" "$SPOKEN_URL" "$DISCARD_URL" "${BOOT_URLS[@]}"'
    read = bash(f'. "$1"; printf "%s\\n" {names}', str(path))
    assert read.splitlines() == [
        bundle.trainer_url,
        bundle.outcome_url,
        bundle.spoken_url,
        bundle.discard_url,
        *bundle.boot_urls,
    ]


@pytest.mark.parametrize(
    ("ends_in", "lifetime", "left"),
    [
        (10 * 365 * 86_400, 14_400, range(14_400, 14_401)),  # the machine's clock lies in the past: what was rented
        (3_600, 14_400, range(3_590, 3_601)),  # it booted late: the deadline holds
        (-5, 14_400, range(1)),  # the deadline has passed: at once
    ],
)
def test_a_machine_lives_to_its_deadline_and_never_longer_than_was_rented(
    tmp_path: Path, ends_in: int, lifetime: int, left: range
) -> None:
    path = tmp_path / "script"
    path.write_text(boot.script(a_boot(deadline=int(time.time()) + ends_in, lifetime=lifetime)))
    # A word that it does not know starts nothing, so that one function can be asked.
    assert int(bash('. "$1" nothing; seconds_left', str(path))) in left


def test_the_providers_word_is_laid_where_the_agent_looks_for_it(tmp_path: Path) -> None:
    """With the real archive and a metadata service in miniature; the engine's client is a copy here."""
    archive.build(tmp_path / "hourglass" / "trainer.pyz", with_s3=False)
    (tmp_path / "docker").write_text(f'#!/bin/sh\ncp -p "$2" {tmp_path}/handed && echo "$3" >{tmp_path}/where\n')
    (tmp_path / "docker").chmod(0o755)
    with Metadata() as metadata:
        metadata.notices["/computeMetadata/v1/instance/preempted"] = "TRUE"
        text = boot.script(a_boot(notice=f"gcp={metadata.address}"))
        path = tmp_path / "script"
        path.write_text(text.replace("DIR=/var/lib/hourglass", f"DIR={tmp_path}"))
        told = bash(f'. "$1" nothing; PATH={tmp_path}:$PATH; hand_on_notice', str(path))
    assert "The provider takes this machine back: {" in told
    assert (tmp_path / "where").read_text() == f"{a_boot().name}:{NOTICE_FILE}\n"
    assert (tmp_path / "handed").stat().st_mode & 0o444 == 0o444  # the image's user is not root everywhere
    notice = Source(f"file={tmp_path}/handed").look()
    assert notice is not None
    assert notice.by == "Google Cloud"


def pulled(tmp_path: Path, engine: str, **changes: object) -> tuple[str, list[str]]:
    """Let the warden pull with an engine's client that is this script; return what it said, and what it was asked."""
    (tmp_path / "docker").write_text(f'#!/bin/bash\necho "$*" >>{tmp_path}/asked\n{engine}\n')
    (tmp_path / "docker").chmod(0o755)
    text = boot.script(a_boot(**changes)).replace("DIR=/var/lib/hourglass", f"DIR={tmp_path}")
    (tmp_path / "script").write_text(text)
    # Where the log is what `tail` reads, as in the machine; nobody is told the outcome, and nothing is waited for.
    run = 'exec >"$2/boot.log" 2>&1; . "$1" nothing; PATH=$2:$PATH; sleep() { :; }; pull; echo "runs $IMAGE"'
    words = ["bash", "-c", run, "bash", str(tmp_path / "script"), str(tmp_path)]
    subprocess.run(words, timeout=30, check=False)
    return (tmp_path / "boot.log").read_text(), (tmp_path / "asked").read_text().splitlines()


IMAGE = a_boot().image
MIRROR = "mirror.example/hub/pytorch/pytorch@sha256:" + "ab" * 32


def test_an_image_comes_from_the_mirror_where_there_is_one(tmp_path: Path) -> None:
    said, asked = pulled(tmp_path, "[[ $1 == pull ]]", mirror=MIRROR)
    assert said.endswith(f"runs {MIRROR}\n")
    assert asked[1:] == [f"pull {MIRROR}"]


def test_what_the_mirror_does_not_have_comes_from_the_images_own_registry(tmp_path: Path) -> None:
    engine = f"[[ $2 != {MIRROR} ]] || {{ echo denied; exit 1; }}; [[ $1 == pull ]]"
    said, asked = pulled(tmp_path, engine, mirror=MIRROR)
    assert "The mirror did not give it." in said and said.endswith(f"runs {IMAGE}\n")
    assert asked[1:] == [f"pull {MIRROR}", f"pull {IMAGE}"]


@pytest.mark.parametrize(
    ("problem", "sentence", "tries"),
    [
        ("write /var/lib/docker/tmp/x: no space left on device", "The image does not fit on the machine's disk.", 1),
        ("manifest unknown", "cannot be pulled. Check its name and that it may be read.", 1),
        ("i/o timeout", f"The image {IMAGE} could not be fetched.", 3),
    ],
)
def test_a_pull_that_fails_is_told_in_a_sentence(tmp_path: Path, problem: str, sentence: str, tries: int) -> None:
    said, asked = pulled(tmp_path, f"[[ $1 != pull ]] || echo {problem!r}; exit 1")
    assert sentence in said.splitlines()[-1]
    assert len(asked) == 1 + tries


def test_its_units_are_what_systemd_takes(tmp_path: Path) -> None:
    """With systemd's own judge; the units come out of the script as a machine writes them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: apt-get install systemd")
    (tmp_path / "script").write_text(boot.script(a_boot()).replace("DIR=/var/lib/hourglass", f"DIR={tmp_path}"))
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\n')
    (tmp_path / "systemctl").chmod(0o755)
    text = (tmp_path / "script").read_text().replace("/etc/systemd/system", str(tmp_path))
    text = text.replace("[[ -d /run/systemd/system ]] || return", "")
    (tmp_path / "script").write_text(text)
    bash('. "$1" nothing; PATH=$2:$PATH; start_units', str(tmp_path / "script"), str(tmp_path))
    assert (tmp_path / "asked").read_text().splitlines() == [
        "daemon-reload",
        "enable --now --no-block hourglass-guard hourglass-work",
    ]
    units = [str(tmp_path / f"hourglass-{part}.service") for part in ("guard", "work")]
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in judged.stderr.splitlines() if "hourglass" in line]
    assert (judged.returncode, ours) == (0, [])
    guard = Path(units[0]).read_text()
    assert "Restart=always" in guard and "StartLimitIntervalSec=0" in guard, "it comes back however often it is killed"


values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


@settings(max_examples=25, deadline=None)  # each example starts two shells
@given(st.dictionaries(st.sampled_from(["LR", "TOKEN", "PYTHONPATH", "_x9"]), values, min_size=1))
def test_any_value_reaches_the_container_and_never_the_machines_own_shell(env: dict[str, str]) -> None:
    packed = boot.pack(a_bundle(env=env)).decode()
    # As the warden does it: the machine's shell reads the bundle, a plain `sh` inside reads the environment.
    inside = subprocess.run(
        ["bash", "-c", 'eval "$1"; base64 -d <<<"$ENV_BASE64"; printf "%s" "${TOKEN-unset}" >&2', "bash", packed],
        capture_output=True,
        timeout=20,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert inside.stderr == b"unset"
    seen = subprocess.run(
        ["sh", "-c", inside.stdout.decode() + "env -0"],
        capture_output=True,
        timeout=20,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    variables = dict(entry.split("=", 1) for entry in seen.stdout.decode().split("\0") if entry)
    assert {name: variables[name] for name in env} == env


@pytest.mark.parametrize("name", ["A-B", "1A", "A B", "A;rm", "", "A="])
def test_a_name_that_no_environment_holds_is_refused_and_quoted(name: str) -> None:
    with pytest.raises(Rejected, match="cannot be an environment variable"):
        boot.pack(a_bundle(env={name: "x"}))


def test_neither_record_shows_what_opens_anything() -> None:
    shown = f"{a_boot()!r} {a_bundle(env={'TOKEN': 'hush-hush-9'})!r}"
    assert "hush-hush-9" not in shown
    assert "https://" not in shown

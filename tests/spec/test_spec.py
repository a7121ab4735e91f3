"""The task file alone, and the command laid over it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parse import parse_train
from bot.verbs import Run
from jobs.errors import BadSpec
from jobs.gpus import Gpu
from jobs.records import dump, parse
from jobs.spec import Defaults, merge
from jobs.strict_yaml import LARGEST
from jobs.taskfile import parse_task_file
from jobs.values import JobSpec, SpotPolicy

FULL = """\
image: pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime
registry_auth: DOCKER_AUTH                # a secret's name
commands: [python train.py --lr=$LR]
setup: [pip install -r requirements.txt]
env: {LR: "3e-4"}
secrets: [WANDB_API_KEY]
resources: {gpu: "A100:80GB:1", disk: 200GB, shm_size: 16GB}
nodes: 1
backends: [aws, lambda]
spot_policy: auto
max_duration: 4h
max_price: 2.5
max_cost: 12
retry: {on_events: [no-capacity, interruption]}
utilization_policy: {min_gpu_utilization: 5, time_window: 30m}
checkpoints: {path: out, upload_every: 10m, keep: 3}
"""


def merged(line: str, task_file: str | None, **defaults: Any) -> JobSpec:
    command = parse_train(line, delivery="d", channel="C", person="U")
    assert isinstance(command, Run)
    return merge(command.request, task_file, defaults=Defaults(**defaults))


def refused(task_file: str) -> BadSpec:
    with pytest.raises(BadSpec) as caught:
        parse_task_file(task_file)
    return caught.value


# ---------------------------------------------------------------- the file


def test_every_key_of_the_file() -> None:
    assert merged("acme/vit@main", FULL) == JobSpec(
        gpu="a100",
        gpu_memory_gb=80,
        gpus=1,
        nodes=1,
        minutes=240.0,
        image="pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime",
        registry_auth="DOCKER_AUTH",
        setup=("pip install -r requirements.txt",),
        commands=("python train.py --lr=$LR",),
        argv=(),
        env={"LR": "3e-4"},
        secrets=("WANDB_API_KEY",),
        disk_gb=200,
        shm_gb=16,
        providers=("aws", "lambda"),
        spot=SpotPolicy.AUTO,
        max_price=2_500_000,
        max_cost=12_000_000,
        retry_on=("no-capacity", "interruption"),
        checkpoint_path="out",
        checkpoint_every=600.0,
        checkpoint_keep=3,
        min_gpu_utilization=5,
        utilization_window=1800.0,
        hang_timeout=1800.0,
    )


def test_people_from_skypilot_are_at_home() -> None:
    file = parse_task_file(
        "resources:\n  accelerators: {A100: 8}\n  infra: aws\n  use_spot: true\n  disk_size: 256\n"
        "  max_hourly_cost: 2\nnum_nodes: 2\nenvs:\n  SEED: 1\nsetup: |\n  pip install x\n  pip install y\n"
        "run: |\n  python a.py\n"
    )

    assert file.gpu == Gpu(name="a100", memory_gb=None, count=8)
    assert (file.providers, file.spot, file.disk_gb, file.max_price) == (("aws",), SpotPolicy.SPOT, 256, 2_000_000)
    assert (file.nodes, file.env) == (2, {"SEED": "1"})
    assert (file.setup, file.commands) == (("pip install x\npip install y",), ("python a.py",))


def test_values_stay_as_they_are_written() -> None:
    file = parse_task_file("env: {LR: 3e-4, FLAG: yes, TIME: 1:30, OCT: 010, EMPTY: , NONE: ~, DATE: 2026-11-01}\n")

    assert file.env == {
        "LR": "3e-4",
        "FLAG": "yes",
        "TIME": "1:30",
        "OCT": "010",
        "EMPTY": "",
        "NONE": "",
        "DATE": "2026-11-01",
    }


@pytest.mark.parametrize("gpu", ["A100:80GB:2", "{A100-80GB: 2}", "{name: A100, memory: 80GB, count: 2}"])
def test_gpus_in_each_of_their_forms(gpu: str) -> None:
    assert parse_task_file(f"resources: {{gpu: {gpu}}}").gpu == Gpu(name="a100", memory_gb=80, count=2)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [("true", ("no-capacity", "interruption")), ("false", ()), ("{on_events: [interruption]}", ("interruption",))],
)
def test_retries_in_each_of_their_forms(yaml: str, expected: tuple[str, ...]) -> None:
    assert parse_task_file(f"retry: {yaml}").retry_on == expected


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("", ()),
        ("spot_policy: on-demand", ()),
        ("spot_policy: spot", ("interruption",)),
        ("spot_policy: auto", ("interruption",)),
        ("spot_policy: spot\nretry: false", ()),
        ("spot_policy: spot\nretry: {on_events: [no-capacity]}", ("no-capacity",)),
    ],
)
def test_a_machine_of_the_spot_market_is_followed_by_another_unless_the_file_says_otherwise(
    yaml: str, expected: tuple[str, ...]
) -> None:
    assert (
        merged(
            "acme/vit@main -- python train.py", f"resources: {{gpu: A100}}\nimage: a:1\nmax_duration: 4h\n{yaml}"
        ).retry_on
        == expected
    )


def test_a_typed_spot_is_followed_by_another_too() -> None:
    line = "acme/vit@main gpu=a100 hours=4 spot=yes image=a:1 -- python train.py"
    assert merged(line, None).retry_on == ("interruption",)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "image:\n", "env:\n"])
def test_a_file_that_says_nothing_decides_nothing(text: str) -> None:
    assert parse_task_file(text) == parse_task_file("")


@pytest.mark.parametrize(
    ("text", "quoted", "fix"),
    [
        ("comands: [a]\n", "line 1: `comands` is not a key; did you mean `commands`?", "commands: [a]"),
        ("image: a\n\nenvv: {A: b}\n", "line 3: `envv` is not a key", "env: {A: b}"),
        ("resources: {gpus: A100}\n", "line 1: `gpus` is not a key under `resources`", "resources: {gpu: A100}"),
        ("qqqq: 1\n", "There are image, registry_auth", None),
        ("gpu: A100\n", "`gpu` stands under `resources:`", None),
        ("resources: {image: a}\n", "`image` stands at the left margin", None),
        ("commands: [a\nb: c", "line 2, column", None),
        ("a: b: c\n", "line 1, column 5", None),
        ("- a\n", "the file must hold `key: value` lines", None),
        ("just words\n", "the file must hold `key: value` lines", None),
        ("commands: [a]\ncommands: [b]\n", "line 2: `commands` stands there twice", None),
        ("commands: [a]\nrun: b\n", "line 2: `run` says again what `commands` has said", None),
        ("use_spot: true\nspot_policy: auto\n", "`spot_policy` says again what `use_spot` has said", None),
        ("env: {A: 1, A: 2}\n", "`A` stands there twice", None),
        ("env: {PATH: /x}\n", "line 1: `PATH` belongs to the machine", None),
        ("env: {A: [1]}\n", "one value is expected here", None),
        ("env: [A]\n", "`A` has no value", None),
        ("secrets: [AWS_SECRET_ACCESS_KEY]\n", "belongs to the machine", None),
        ("? [a]\n: b\n", "a key must be one plain word", None),
        ("image: &x a\n", "line 1: anchors and aliases", None),
        ("image: *x\n", "line 1: anchors and aliases", None),
        ("image: !!python/object/apply:os.system [id]\n", "line 1: tags", None),
        ("image: a\n---\nimage: b\n", "line 2: a second document begins", None),
        pytest.param("[" * 5000, "nested more than 8 deep", None, id="deep"),  # a report need not print all of it
        ("commands: '" + "x" * LARGEST + "'", "larger than 64 KB", None),
        ("image: \x07\n", "cannot be read", None),
        ("image: Acme/Vit\n", "line 1: `Acme/Vit` is not the name of an image", None),
        ("resources: {gpu: V100}\n", "line 1: No price is known for the GPU `v100`. Did you mean `a100`?", None),
        ("resources: {gpu: {A100: 1, H100: 1}}\n", "one kind of GPU is rented", None),
        ("resources: {gpu: [A100, H100]}\n", "`gpu` must hold `key: value` lines", None),
        ("resources: {disk: lots}\n", "`lots` is not a size", None),
        ("nodes: 0\n", "from 1 to 16", None),
        ("max_duration: 14400\n", "`14400` is outside", None),
        ("max_duration: off\n", "`off` is not a length of time", None),
        ("max_price: cheap\n", "`cheap` is not an amount", None),
        ("max_cost: 0\n", "nothing can be rented for nothing", None),
        ("spot_policy: maybe\n", "`maybe` is none of spot, on-demand, auto", None),
        ("use_spot: maybe\n", "`maybe` is neither `true` nor `false`", None),
        ("infra: aws/us-east-1\n", "`aws/us-east-1` is not a provider's name", None),
        ("retry: {on_events: [error]}\n", "`error` is none of no-capacity, interruption", None),
        ("retry: {often: 1}\n", "`often` is not a key under `retry`", None),
        ("checkpoints: {keep: 1}\n", "from 2 to 100", None),
        ("checkpoints: {path: /out}\n", "`/out` must be a folder inside the repository", None),
        ("checkpoints: {path: a/../..}\n", "must be a folder inside the repository", None),
        ("checkpoints: {upload_every: 10}\n", "`10` is not an interval", None),
        ("resume: '--from \"last'\n", 'line 1: `resume: --from "last` cannot be read', None),
        ("resume: true\n", "`resume: true` is what happens anyway", None),
        ("resume: ''\n", "line 1: `resume` is empty", None),
        ("resume: --last && echo\n", "`&` in `resume: --last && echo` would end the command", None),
        ("resume: |\n  --a\n  --b\n", "`resume` has several lines", None),
        ("resume: {argv: [a]}\n", "line 1: `argv` is not a key under `resume`", None),
        ("resume: {commands: }\n", "`resume` names no command", None),
        ("hang_timeout: 30\n", "line 1: `30` is not an interval", None),
        ("checkpoints: {encrypt: perhaps}\n", "`perhaps` is neither `true` nor `false`", None),
        ('image: a\nprogress: ["L {my loss}"]\n', "line 2: `{my loss}` in `L {my loss}` is no name", None),
        ("progress:\n  - loss: {loss}\n", "Quote each line of `progress`: 'step {step}/{steps} :: L {loss}'", None),
        ("progress: {step} x\n", "A value that holds braces wants quotes.", None),
        ("progress: [ep {epoch} L {l}]\n", "A value that holds braces wants quotes.", None),
        ("progress: {loss}\n", "Quote each line of `progress`", None),
        ("progress:\n- a {a}\n- b {b\n", "line 3: a brace in `b {b` has no other", None),
        ("progress:\n" + "- L {l}\n" * 33, "33 lines are described; 32 are read", None),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, quoted: str, fix: str | None) -> None:
    error = refused(text)

    assert quoted in str(error)
    assert error.fix == fix


def test_a_small_file_that_would_grow_is_refused_before_it_does() -> None:
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    assert "anchors and aliases" in str(refused(laughs))


def test_lines_of_progress_are_carried_as_they_are_described() -> None:
    text = "progress:\n  - ep {epoch}/{epochs} L {loss}\n  - 'judge:  {verdict}'\n"
    assert merged("acme/vit@main gpu=cpu hours=1 -- a", text).progress == (
        "ep {epoch}/{epochs} L {loss}",
        "judge: {verdict}",
    )
    assert merged("acme/vit@main gpu=cpu hours=1 -- a", "progress: 'L {loss}'").progress == ("L {loss}",)
    assert merged("acme/vit@main gpu=cpu hours=1 -- a", "progress:\n").progress == ()


@given(st.text(max_size=200) | st.text(alphabet="abc:[]{}&*!|>-#'\" \n\t,?%@", max_size=120))
def test_any_file_is_read_or_refused(text: str) -> None:
    try:
        parse_task_file(text)
    except BadSpec as error:
        assert str(error)


# ---------------------------------------------------------------- merging


def test_the_command_line_overrides_the_file_and_the_rest_stays() -> None:
    spec = merged(
        "acme/vit@main gpu=h100:2 hours=30m spot=no provider=docker image=acme/vit:1 max_cost=3 max_price=1 nodes=2 "
        "env.LR=1 env.NEW=x -- python other.py --fast",
        FULL,
    )

    assert (spec.gpu, spec.gpu_memory_gb, spec.gpus, spec.minutes) == ("h100", None, 2, 30.0)
    assert (spec.spot, spec.providers, spec.image) == (SpotPolicy.ON_DEMAND, ("docker",), "acme/vit:1")
    assert (spec.max_cost, spec.max_price, spec.nodes) == (3_000_000, 1_000_000, 2)
    assert spec.env == {"LR": "1", "NEW": "x"}
    assert (spec.commands, spec.argv) == ((), ("python", "other.py", "--fast"))
    assert spec.setup == ("pip install -r requirements.txt",)


def test_without_a_file_a_command_is_enough_and_the_defaults_hold() -> None:
    spec = merged("acme/vit@main gpu=a100 hours=1 -- python train.py", None, image="acme/default:1")

    assert spec.argv == ("python", "train.py")
    assert (spec.image, spec.spot, spec.nodes, spec.providers) == ("acme/default:1", SpotPolicy.ON_DEMAND, 1, ())
    assert (spec.checkpoint_path, spec.checkpoint_every, spec.checkpoint_keep) == ("out", 600.0, 3)


def test_a_spec_survives_the_database() -> None:
    spec = merged("acme/vit@main", FULL)

    assert merge_again(dump(spec)) == dump(spec)


def merge_again(plain: dict[str, Any]) -> dict[str, Any]:
    return dump(parse(JobSpec, plain))


@pytest.mark.parametrize(
    ("line", "file", "quoted", "fix"),
    [
        ("acme/vit@main hours=1 -- x", None, "Which GPU?", "/train acme/vit@main hours=1 gpu=a100 -- x"),
        ("acme/vit@main gpu=a100 -- x", None, "For how long?", "/train acme/vit@main gpu=a100 hours=1 -- x"),
        (
            "acme/vit@main gpu=a100 hours=1",
            None,
            "`acme/vit` has no `.hourglass.yml` at this commit",
            "/train acme/vit@main gpu=a100 hours=1 -- python train.py",
        ),
        (
            "acme/vit@main gpu=a100 hours=1",
            "env: {A: b}",
            "`.hourglass.yml` names no command: add `commands:`",
            "/train acme/vit@main gpu=a100 hours=1 -- python train.py",
        ),
        ("acme/vit@main gpu=a100 hours=1 env.KEY=x -- y", "secrets: [KEY]", "both a variable and a secret", None),
        (
            "acme/vit@main gpu=a100 hours=1 -- y",
            "utilization_policy: {min_gpu_utilization: 5}",
            "needs both `min_gpu_utilization` and `time_window`",
            None,
        ),
    ],
)
def test_what_is_missing_is_asked_for_with_the_line_to_copy(line: str, file: str | None, quoted: str, fix: str) -> None:
    with pytest.raises(BadSpec) as caught:
        merged(line, file)

    assert quoted in str(caught.value)
    assert caught.value.fix == fix


def test_a_machine_without_a_gpu_has_no_idle_rule() -> None:
    spec = merged("acme/vit@main gpu=cpu", FULL)

    assert (spec.gpu, spec.gpus, spec.min_gpu_utilization, spec.utilization_window) == ("cpu", 0, None, None)


RESUMING = "resources: {gpu: A100}\nmax_duration: 1h\n"


@pytest.mark.parametrize(
    ("line", "file", "commands", "argv", "known"),
    [
        ("", "commands: [a, b --x]", (), (), True),
        ("", "commands: [a, b --x]\nresume: off", (), (), False),
        ("", "commands: [a, b --x]\nresume: --from '$X Y'", ("a", "b --x --from '$X Y'"), (), False),
        ("", "commands: [a]\nresume: {commands: [c, d | e]}", ("c", "d | e"), (), False),
        ("", "run: |\n  cd x && y\n  z\nresume: -r", ("cd x && y\nz -r",), (), False),
        ("", "commands: [\"a 'b;c' # d\"]\nresume: {run: e}", ("e",), (), False),
        (
            " -- python t.py",
            "commands: [a | b]\nresume: --from '$X Y'",
            (),
            ("python", "t.py", "--from", "$X Y"),
            False,
        ),
        (" -- python t.py", "commands: [a]\nresume: {commands: [c]}", (), (), True),
        (" -- python t.py", "", (), (), True),
    ],
)
def test_how_it_starts_again_from_a_checkpoint(
    line: str, file: str, commands: tuple[str, ...], argv: tuple[str, ...], known: bool
) -> None:
    spec = merged(f"acme/vit@main{line}", f"{RESUMING}{file}\n")

    assert (spec.resume_commands, spec.resume_argv, spec.resume_known) == (commands, argv, known)


@pytest.mark.parametrize(
    ("command", "mark"), [("a | tee log", "|"), ("a > log", ">"), ("a # b", "#"), ("a \\", "\\"), ("a 'b", "'")]
)
def test_words_that_would_not_reach_the_script_are_refused(command: str, mark: str) -> None:
    quoted = command.replace("'", "''")
    with pytest.raises(BadSpec) as caught:
        merged("acme/vit@main", f"{RESUMING}commands: ['{quoted}']\nresume: --go-on\n")

    assert f"`{mark}` stands in its way. Write `resume: {{commands: […]}}`" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 1800.0), ("hang_timeout: 5m\n", 300.0), ("hang_timeout: off\n", None)]
)
def test_after_how_long_a_silence_people_are_told(text: str, seconds: float | None) -> None:
    assert merged("acme/vit@main -- a", RESUMING + text).hang_timeout == seconds

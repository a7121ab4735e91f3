"""Typed lines: what they ask for, what is wrong with them, and the line to copy instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.parse import TOPICS, VERBS, parse_mention, parse_train
from bot.verbs import Checkpoints, Command, Extend, Gpus, Help, List, Logs, Rerun, Run, Status, Stop
from jobs.errors import BadRequest
from jobs.values import Request

RUN = "acme/vit@main gpu=a100 hours=4"


def said(text: str) -> Command:
    return parse_train(text, delivery="d1", channel="C1", person="U1ADA")


def asked(text: str) -> Request:
    command = said(text)
    assert isinstance(command, Run)
    return command.request


def refused(text: str) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        said(text)
    return caught.value


# ---------------------------------------------------------------- renting


def test_the_line_of_the_mission() -> None:
    request = asked("acme/vit@3f9c2ab gpu=a100 hours=4")

    assert request == Request(
        delivery="d1",
        channel="C1",
        person="U1ADA",
        repo="acme/vit",
        ref="3f9c2ab",
        overrides={"gpu": "a100", "hours": "4"},
        text="acme/vit@3f9c2ab gpu=a100 hours=4",
    )


def test_every_key_at_once_in_any_order_and_case() -> None:
    request = asked(
        "Gpu=A100-80GB:2 acme/vit@v1 HOURS=90m spot=YES provider=AWS,lambda image=acme/vit:1 max_cost=$12 "
        "max_price=2.5 nodes=2 notify=<@U2BOB|bob>,@cyd env.LR=3e-4 env.NAME='two words' "
        'reason="the last one diverged" -- python train.py --lr 3e-4'
    )

    assert request.overrides == {
        "gpu": "a100-80gb:2",
        "hours": "90m",
        "spot": "spot",
        "provider": "aws,lambda",
        "image": "acme/vit:1",
        "max_cost": "12",
        "max_price": "2.5",
        "nodes": "2",
        "env": {"LR": "3e-4", "NAME": "two words"},
    }
    assert request.notify == ("U2BOB", "@cyd")
    assert request.reason == "the last one diverged"
    assert request.argv == ("python", "train.py", "--lr", "3e-4")


@pytest.mark.parametrize("text", [f"/train {RUN}", f"train {RUN}", f"run {RUN}", f"/train   {RUN}  "])
def test_the_command_itself_may_stand_in_front(text: str) -> None:
    assert asked(text).text == RUN


@pytest.mark.parametrize(
    ("word", "repo", "ref"),
    [
        ("acme/vit@feature/x", "acme/vit", "feature/x"),
        ("acme/vit@pkg@1.0", "acme/vit", "pkg@1.0"),
        ("group/sub/vit@main", "group/sub/vit", "main"),
        ("https://github.com/acme/vit@main", "https://github.com/acme/vit", "main"),
        ("https://GitHub.com/acme/vit/tree/main", "https://github.com/acme/vit", "main"),
        ("https://github.com/acme/vit/commit/3f9c2ab", "https://github.com/acme/vit", "3f9c2ab"),
        ("https://gitlab.com/acme/vit/-/tree/main", "https://gitlab.com/acme/vit", "main"),
        ("git@github.com:acme/vit@main", "git@github.com:acme/vit", "main"),
        ("ssh://git@github.com/acme/vit.git@v1", "ssh://git@github.com/acme/vit.git", "v1"),
    ],
)
def test_repositories_are_named_in_the_ways_that_people_copy_them(word: str, repo: str, ref: str) -> None:
    request = asked(f"{word} gpu=a100 hours=4")

    assert (request.repo, request.ref) == (repo, ref)


@pytest.mark.parametrize(
    "hours", ["4", "0.05", ".5", "2m", "90m", "4h", "1h30m", "1.5h", "2hours", "45min", "1d", "30d"]
)
def test_hours_as_people_write_them(hours: str) -> None:
    assert asked(f"acme/vit@main gpu=a100 hours={hours}").overrides["hours"] == hours


# ---------------------------------------------------------------- the command after --


def test_the_command_is_kept_word_for_word() -> None:
    assert asked(f"{RUN} -- python  -c 'print(\"a;  b\")' --x=\"$HOME\" a\\ b '' gpu=h100").argv == (
        "python",
        "-c",
        'print("a;  b")',
        "--x=$HOME",
        "a b",
        "",
        "gpu=h100",
    )


def test_a_command_may_go_on_in_the_next_line_as_in_a_shell() -> None:
    assert asked(f"{RUN} -- python train.py \\\n  --lr 1").argv == ("python", "train.py", "--lr", "1")


@pytest.mark.parametrize("sign", [";", "&&", "||", "|", ">", "<", "&", "`", "$(", "${", "$LR"])
def test_what_only_a_shell_understands_is_refused_and_handed_to_one_in_the_fix(sign: str) -> None:
    closing = {"`": "id`", "$(": "id)", "${": "X}"}.get(sign, " x")
    error = refused(f"{RUN} -- python a.py {sign}{closing}")

    assert f"`{sign}` is for one" in str(error)
    assert error.fix is not None
    assert asked(error.fix).argv == ("bash", "-c", f"python a.py {sign}{closing}".strip())


def test_two_lines_are_two_commands_for_a_shell() -> None:
    error = refused(f"{RUN} -- python a.py\npython b.py")

    assert "a line break is for one" in str(error)
    assert asked(str(error.fix)).argv == ("bash", "-c", "python a.py\npython b.py")


@pytest.mark.parametrize(
    ("tail", "words"), [("", "Nothing follows"), ("echo 'a", "opened and not closed"), ("''", "The command is empty")]
)
def test_a_command_that_is_none_is_refused(tail: str, words: str) -> None:
    assert words in str(refused(f"{RUN} -- {tail}"))


def test_a_separator_inside_a_reason_separates_nothing() -> None:
    request = asked(f'{RUN} reason="a -- b" -- python x.py')

    assert (request.reason, request.argv) == ("a -- b", ("python", "x.py"))


# ---------------------------------------------------------------- mistakes, and what to copy

MISTAKES = [
    # as typed, what the answer quotes, the line to copy (None: nobody can guess)
    ("acme/vit gpu=a100 hours=4", "`acme/vit@main`", RUN),
    ("acme/vit@ gpu=a100 hours=4", "cannot be a branch", None),
    ("acme/vit @main gpu=a100 hours=4", "as one word: `acme/vit@main`", RUN),
    ("gpu=a100 hours=4", "Which repository?", None),
    ("acme/vit@main gpus=a100 hours=4", "`gpus` is not a key; did you mean `gpu`?", RUN),
    ("acme/vit@main gpu=a100 huors=4", "`huors` is not a key; did you mean `hours`?", RUN),
    ("acme/vit@main gpu=a100 colour=4", "`colour` is not a key. There are", None),
    ("acme/vit@main gpu=a1000 hours=4", "the GPU `a1000`. Did you mean `a100`?", RUN),
    ("acme/vit@main gpu=v100:4 hours=4", "the GPU `v100`. Did you mean `a100`?", "acme/vit@main gpu=a100:4 hours=4"),
    ("acme/vit@main gpu=a100-60gb hours=4", "no a100 with 60 GB", RUN),
    ("acme/vit@main gpu=a100:99 hours=4", "from 1 to 16 GPUs", RUN),
    ("acme/vit@main gpu=quantum hours=4", "the GPU `quantum`", None),
    ("acme/vit@main gpu=a100 hours=0", "`0` is outside", "acme/vit@main gpu=a100 hours=1"),
    ("acme/vit@main gpu=a100 hours=-1", "`-1` is not a length of time", "acme/vit@main gpu=a100 hours=1"),
    ("acme/vit@main gpu=a100 hours=1000000", "`1000000` is outside", "acme/vit@main gpu=a100 hours=24"),
    ("acme/vit@main gpu=a100 hours=10⁶", "`10⁶` is not a length of time", None),
    ("acme/vit@main gpu=a100 hours=4 h", "as one word, `hours=4h`", "acme/vit@main gpu=a100 hours=4h"),
    ('acme/vit@main gpu=a100 hours="4 h"', "`4 h` is not a length of time", "acme/vit@main gpu=a100 hours=4h"),
    ("acme/vit@main gpu=a100 hours=nan", "`nan` is not a length of time", None),
    ("acme/vit@main gpu=a100 hours=inf", "`inf` is not a length of time", None),
    ("acme/vit@main gpu=a100 hours=1e3", "`1e3` is not a length of time", None),
    ("acme/vit@main gpu=a100 hours=0,5", "`0,5` is not a length of time", "acme/vit@main gpu=a100 hours=0.5"),
    ("acme/vit@main gpu=a100 hours=", "`hours=` has no value", None),
    ("acme/vit@main gpu=a100 hours= 4", "no spaces around `=`", RUN),
    ("acme/vit@main gpu=a100 hours =4", "no spaces around `=`", RUN),
    ("acme/vit@main gpu = a100 hours = 4", "no spaces around `=`", RUN),
    ("acme/vit@main gpu=a100 4h", "did you mean `hours=4h`?", "acme/vit@main gpu=a100 hours=4h"),
    ("acme/vit@main a100 hours=4", "did you mean `gpu=a100`?", RUN),
    ("acme/vit@main gpu:a100 hours=4", "did you mean `gpu=a100`?", RUN),
    (f"{RUN} spot", "did you mean `spot=spot`?", f"{RUN} spot=spot"),
    (f"{RUN} spot=maybe", "one of auto, spot, on-demand, yes, no", None),
    (f"{RUN} spot=on_demnd", "one of auto", f"{RUN} spot=on-demand"),
    (f"{RUN} gpu=h100", "`gpu=` is said twice", None),
    (f"{RUN} LR=3e-4", "written `env.LR=…`", f"{RUN} env.LR=3e-4"),
    (f"{RUN} env.LD_PRELOAD=x.so", "`LD_PRELOAD` belongs to the machine", None),
    (f"{RUN} env.PATH=/x", "`PATH` belongs to the machine", None),
    (f"{RUN} env.HOURGLASS_STORE=x", "`HOURGLASS_STORE` belongs to the machine", None),
    (f"{RUN} env.A-B=x", "`A-B` is not a name", None),
    (f"{RUN} max_cost=cheap", "`cheap` is not an amount", None),
    (f"{RUN} max_cost=0", "name an amount above 0", None),
    (f"{RUN} nodes=0", "whole number from 1 to 16", None),
    (f"{RUN} nodes=two", "whole number from 1 to 16", None),
    (f"{RUN} provider=aws/us", "`aws/us` is not the name of a provider", None),
    (f"{RUN} image=Acme/Vit", "`Acme/Vit` is not the name of an image", None),
    (f"{RUN} notify=<!channel>", "`@channel` is not one person", None),
    (f"{RUN} notify=,", "names nobody", None),
    (f"{RUN} reason=too slow", 'reason="too slow"', f'{RUN} reason="too slow"'),
    (f"{RUN} reason=don't", "opened and not closed", None),
    (f"{RUN} secrets=WANDB", "`secrets` is set in `.hourglass.yml`", None),
    ("acme/vit gpu=a100 hours=4 branch=main", "`branch=`: the commit stands behind", None),
    (f"{RUN} python train.py --lr 1", "the command stands after ` -- `", f"{RUN} -- python train.py --lr 1"),
    (f"{RUN} --python train.py", "the command stands after ` -- `", f"{RUN} -- python train.py"),
    (f"{RUN} --lr 1", "`--lr` begins with `-`", None),
    (f"{RUN} please", "`please` is not `key=value`", None),
    ("acme/vit gpus=a100 hour=4", "`gpus` is not a key", RUN),
    # Things that must never become options, ways out, or shell
    ("acme/vit@-main gpu=a100 hours=4", "it begins with `-`", None),
    ("acme/vit@--upload-pack=x gpu=a100 hours=4", "it begins with `-`", None),
    ("-x/vit@main gpu=a100 hours=4", "it begins with `-`", None),
    ("acme/../../etc@main gpu=a100 hours=4", "is not a repository", None),
    ("https://ada:pw@github.com/acme/vit@main gpu=a100 hours=4", "password", None),
    ("acme/vit@main;id gpu=a100 hours=4", "`main;id` cannot be", None),
    ("acme/vit@$(id) gpu=a100 hours=4", "`$(id)` cannot be", None),
    ("acme/`id`@main gpu=a100 hours=4", "is not a repository", None),
    ("acme/vit@a..b gpu=a100 hours=4", "`a..b` cannot be", None),
    (f"{RUN}; rm -rf /", "`4;` is not a length of time", None),
    (f"{RUN} && rm -rf /", "`&&` is not `key=value`", None),
    (f"{RUN} $(rm -rf /)", "`$(rm` is not `key=value`", None),
    (f"{RUN} <!channel>", "`@channel` is not `key=value`", None),
    (f"{RUN} \x07", "control character (U+0007)", None),
    (f"{RUN} -- a\x00b", "control character (U+0000)", None),
    (f"{RUN} reason={'x' * 501}", "501 characters; 500", None),
    (f"{RUN} -- {'x' * 4000}", "4000 are read", None),
    (f"{RUN} -- {'x ' * 300}", "300 words; 256", None),
    # Verbs
    ("hepl", "did you mean `help`?", "help"),
    ("stauts k3v9x2m", "did you mean `status`?", "status k3v9x2m"),
    ("cancel k3v9x2m", "did you mean `stop`?", "stop k3v9x2m"),
    ("xyzzy", "`xyzzy` is not something I know", "help"),
    ("vit gpu=a100 hours=4", "`vit` is not a repository", None),
    ("follow k3v9x2m", "did you mean `logs`?", "logs k3v9x2m"),
    ("help follow", "did you mean `logs`?", "help logs"),
    ("help input", "did you mean `inputs`?", "help inputs"),
    ("help stauts", "no help on `stauts`; did you mean `status`?", "help status"),
    ("gpus v100", "Did you mean `a100`?", "gpus"),
    ("gpus a100 h100", "one GPU at a time", "gpus a100"),
    ("list yours", "either `list mine` or `list all`", "list all"),
    ("status", "Which job?", "list mine"),
    ("status ../etc", "is not a job's name", "list mine"),
    ("status k3v9x2m now", "`now` is too much", "status k3v9x2m"),
    ("stop k3v9x2m -- python x.py", "`stop` takes no command", None),
    ("extend k3v9x2m", "By how long?", "extend k3v9x2m 1h"),
    ("extend k3v9x2m 1 h", "as one word: `1h`", "extend k3v9x2m 1h"),
    ("logs k3v9x2m node=0", "machines are counted from 1", "logs k3v9x2m node=2"),
    ("logs k3v9x2m node=two loss", "`node=two`: machines are counted from 1", "logs k3v9x2m node=2"),
    ("logs k3v9x2m node=2 follow", "Only the first machine's output is followed", "logs k3v9x2m node=2"),
    ("extend k3v9x2m soon", "`soon` is not a length of time", "extend k3v9x2m 1h"),
    ("logs k3v9x2m loss node=0", "machines are counted from 1", "logs k3v9x2m node=2"),
    ("logs follow", "Which job?", "list mine"),
    ("rerun resume", "Which job?", "list mine"),
    ("rerun resume hours=2", "Which job?", "list mine"),
    ("rerun k3v9x2m resum", "`resum` is not `key=value`; did you mean `resume`?", "rerun k3v9x2m resume"),
    ("rerun k3v9x2m hours=2 resum", "did you mean `resume`?", "rerun k3v9x2m hours=2 resume"),
    ("rerun k3v9x2m hour=2", "did you mean `hours`?", "rerun k3v9x2m hours=2"),
    ("rerun k3v9x2m reason=x", "belongs to a new `/train`", None),
    ("rerun k3v9x2m -- python x.py", "`rerun` keeps the command", None),
]


@pytest.mark.parametrize(
    ("typed", "quoted", "copy"), MISTAKES, ids=[row[0][:60].encode("ascii", "replace").decode() for row in MISTAKES]
)
def test_a_mistake_is_quoted_and_the_line_to_copy_is_given(typed: str, quoted: str, copy: str | None) -> None:
    error = refused(typed)

    assert quoted in str(error)
    assert error.fix == (None if copy is None else f"/train {copy}")
    if error.fix:
        said(error.fix)  # copying it never leads to the next mistake


def test_one_answer_names_every_mistake_and_its_line_mends_them_all() -> None:
    error = refused("acme/vit gpus=A100 hour=0 LR=3 python train.py")

    assert len(str(error).splitlines()) == 5
    assert error.fix == "/train acme/vit@main gpu=A100 hours=1 env.LR=3 -- python train.py"


# ---------------------------------------------------------------- the other verbs


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", Help(topic=None)),
        ("/train", Help(topic=None)),
        ("Help", Help(topic=None)),
        ("help hours", Help(topic="hours")),
        ("help /train", Help(topic="train")),
        ("gpus", Gpus(name=None, spot=False)),
        ("gpus A100-80GB spot", Gpus(name="a100-80gb", spot=True)),
        ("list", List(mine=True)),
        ("list all", List(mine=False)),
        ("status K3V9X2M", Status(job="k3v9x2m")),
        ("stop `k3v9x2m`", Stop(job="k3v9x2m")),
        ("extend k3v9x2m 90m", Extend(job="k3v9x2m", minutes=90.0)),
        ("extend k3v9x2m +1h", Extend(job="k3v9x2m", minutes=60.0)),
        ("logs k3v9x2m", Logs(job="k3v9x2m", grep=None)),
        ("logs k3v9x2m Follow", Logs(job="k3v9x2m", grep=None, follow=True)),
        ("logs k3v9x2m follow up", Logs(job="k3v9x2m", grep="follow up")),
        ('logs k3v9x2m "follow"', Logs(job="k3v9x2m", grep="follow")),
        ("logs k3v9x2m \u201cfollow\u201d", Logs(job="k3v9x2m", grep="follow")),
        ("logs k3v9x2m node=2 'Follow'", Logs(job="k3v9x2m", grep="Follow", node=2)),
        ("logs k3v9x2m val loss", Logs(job="k3v9x2m", grep="val loss")),
        ("logs k3v9x2m node=2", Logs(job="k3v9x2m", grep=None, node=2)),
        ("logs k3v9x2m Node=12 val loss", Logs(job="k3v9x2m", grep="val loss", node=12)),
        ("logs k3v9x2m val loss node=2", Logs(job="k3v9x2m", grep="val loss", node=2)),
        ("logs k3v9x2m follow node=1", Logs(job="k3v9x2m", grep=None, node=1, follow=True)),
        ('logs k3v9x2m loss "node=2"', Logs(job="k3v9x2m", grep="loss node=2")),
        ('logs k3v9x2m "node=2"', Logs(job="k3v9x2m", grep="node=2")),
        ("logs k3v9x2m node=2 rank node=3", Logs(job="k3v9x2m", grep="rank node=3", node=2)),
        ("logs k3v9x2m node=1 follow", Logs(job="k3v9x2m", grep=None, node=1, follow=True)),
        ("checkpoints k3v9x2m", Checkpoints(job="k3v9x2m")),
        ("rerun k3v9x2m", Rerun(job="k3v9x2m", overrides={})),
        ("rerun k3v9x2m resume", Rerun(job="k3v9x2m", overrides={}, resume=True)),
        ("rerun k3v9x2m Resume hours=2", Rerun(job="k3v9x2m", overrides={"hours": "2"}, resume=True)),
        ("rerun k3v9x2m hours=2 resume", Rerun(job="k3v9x2m", overrides={"hours": "2"}, resume=True)),
        (
            "rerun k3v9x2m gpu=h100 hours=2 env.LR=1",
            Rerun(job="k3v9x2m", overrides={"gpu": "h100", "hours": "2", "env": {"LR": "1"}}),
        ),
    ],
)
def test_verbs(text: str, command: Command) -> None:
    assert said(text) == command


@pytest.mark.parametrize("topic", TOPICS)
def test_there_is_help_on_every_verb_and_key(topic: str) -> None:
    assert said(f"help {topic}") == Help(topic=topic)


# ---------------------------------------------------------------- in a thread


def in_thread(text: str, job: str | None = "k3v9x2m") -> Command:
    return parse_mention(text, delivery="d1", channel="C1", person="U1ADA", job=job)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("<@U0BOT>", Help(topic=None)),
        ("<@U0BOT|hourglass> status", Status(job="k3v9x2m")),
        ("<@U0BOT>, stop", Stop(job="k3v9x2m")),
        ("<@U0BOT> stop k3v9x2m", Stop(job="k3v9x2m")),
        ("<@U0BOT> stop bbbbbbb", Stop(job="bbbbbbb")),
        ("<@U0BOT> extend 1h", Extend(job="k3v9x2m", minutes=60.0)),
        ("<@U0BOT> extend bbbbbbb 1h", Extend(job="bbbbbbb", minutes=60.0)),
        ("<@U0BOT> logs loss", Logs(job="k3v9x2m", grep="loss")),
        ("<@U0BOT> rerun hours=2", Rerun(job="k3v9x2m", overrides={"hours": "2"})),
        ("<@U0BOT> rerun resume", Rerun(job="k3v9x2m", overrides={}, resume=True)),
        ("<@U0BOT> checkpoints", Checkpoints(job="k3v9x2m")),
    ],
)
def test_in_a_jobs_thread_the_job_need_not_be_named(text: str, command: Command) -> None:
    assert in_thread(text) == command


def test_a_mention_rents_too() -> None:
    command = in_thread(f"<@U0BOT> train {RUN}", job=None)

    assert isinstance(command, Run)
    assert command.request.text == RUN


def test_outside_of_a_thread_the_job_must_be_named_and_the_fix_has_no_slash() -> None:
    with pytest.raises(BadRequest, match="Which job") as caught:
        in_thread("<@U0BOT> stop", job=None)
    assert caught.value.fix == "list mine"
    with pytest.raises(BadRequest) as caught:
        in_thread("<@U0BOT> extend")
    assert caught.value.fix == "extend 1h"


# ---------------------------------------------------------------- for all lines


WORDS = st.sampled_from(
    (
        *VERBS,
        *[
            "acme/vit@main",
            "acme/vit",
            "gpu=a100",
            "gpus=x",
            "hours=4",
            "hours=0",
            "hours",
            "=",
            "4",
            "h",
            "--",
            "-x",
            "reason=a",
            "'",
            '"',
            "python",
        ],
        *["train.py", "&&", "$(x)", "env.A=1", "LR=2", "spot", "k3v9x2m", "@x"],
        'reason="b c"',
    )
)


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=60))
def test_any_line_is_understood_or_refused_and_every_fix_is_understood(text: str) -> None:
    try:
        said(text)
    except BadRequest as error:
        assert str(error)
        if error.fix is not None:
            said(error.fix)

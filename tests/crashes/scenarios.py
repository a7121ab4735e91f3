"""The stories in which the bot is killed: what is asked for, what people press, what the cloud does meanwhile.

Each is short in commits and calls, and together they pass every registered point. Unless a story says otherwise the
bot is the only one that ends machines: the cloud has no limit, the machine no timer, and no reaper runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from jobs.errors import NoCapacity, Rejected, Unauthorized, Unknown
from jobs.providers import Guarantee, Offer, Traits
from jobs.values import DOLLAR, SpotPolicy
from tests.crashes.bot import Setting
from tests.crashes.cloud import Cloud
from tests.support.builders import a_spec, an_offer, some_traits

DAY = 86_400.0
FINISHES = ((5.0, "run"), (20.0, "save"), (50.0, "end"))  # seconds after it runs: what the machine says
RUNS = ((5.0, "run"), (20.0, "save"))  # and goes on until somebody ends it
RUNS_LONGER = ((5.0, "run"), (20.0, "save"), (110.0, "end"))
SPEC = a_spec(minutes=10.0)
SHORT = a_spec(minutes=3.0)


@dataclass(frozen=True, kw_only=True)
class Press:
    """What somebody does, `after` seconds from when the job is in `state`; None: there is no job."""

    press: str
    state: str | None
    after: float = 0.0
    minutes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One story. `end`: the states in which it may come to its end."""

    name: str
    end: Sequence[str] = ("succeeded",)
    setting: Setting = field(default_factory=lambda: Setting(spec=SPEC, traits=TRAITS))
    script: Sequence[tuple[float, str]] = FINISHES
    presses: Sequence[Press] = ()
    cloud: Callable[[Cloud], None] = lambda cloud: None  # what is wrong with it
    offers: Sequence[Offer] = (an_offer(),)
    team: Mapping[str, Any] = field(default_factory=dict)
    limits: bool = False
    timers: bool = False
    reaper: bool = False
    down: float | None = None  # seconds for which a killed bot stays dead; None: as long as a restart takes
    step: float = 30.0  # seconds between ticks
    reclaimed_after: float | None = None  # seconds after which the first machine is taken back
    dismissed: bool = False  # the bot is started without its provider for a while
    restored: bool = False  # the database is replaced by a copy from when the job was QUEUED


# What the hold covers beside the hours: a bot that is killed twice comes late to the end.
TRAITS = some_traits(hard_lag=timedelta(minutes=3))


def _setting(changes: Mapping[str, Any] | None = None, traits: Traits = TRAITS, **options: Any) -> Setting:
    return Setting(spec=dataclasses.replace(SPEC, **(changes or {})), traits=traits, **options)


def _deaf(cloud: Cloud) -> None:
    cloud.deaf_for = timedelta(minutes=7)


def _no_room_for_a_minute(cloud: Cloud) -> None:
    cloud.busy_until = cloud.clock.now() + timedelta(minutes=1)


def _credentials_end(cloud: Cloud) -> None:
    ended = [Unauthorized("The credentials have ended.") for _ in range(5)]
    cloud.before("launch", lambda: cloud.fail("list", *ended))


def _listed_late(cloud: Cloud) -> None:
    cloud.lists_after = timedelta(seconds=45)


def _refusing(cloud: Cloud) -> None:
    cloud.refuses = Rejected("This account may not rent that.")


def _room_for_one(cloud: Cloud) -> None:
    cloud.before("launch", lambda: None)
    cloud.before("launch", lambda: cloud.fail("launch", NoCapacity("One was left.")))


def _second_answer_lost(cloud: Cloud) -> None:
    cloud.before("launch", lambda: None)
    cloud.before("launch", lambda: cloud.lose_answers(1))


REQUEST = Press(press="request", state=None)
APPROVE = Press(press="approve", state="awaiting_approval", after=20.0)
ASKS = {"auto_approve": 0, "cap": DOLLAR // 10}  # over the limit and over the month: a lead, with a grant
TWO = (an_offer(), an_offer(name="gpu-1x-a100-b", region="there-1", micros_per_hour=5 * DOLLAR // 2))
NOT_IDEMPOTENT = dataclasses.replace(TRAITS, idempotent=False)
TIMED = dataclasses.replace(TRAITS, guarantee=Guarantee.EXTERNAL)
SPOT = {"spot": SpotPolicy.SPOT, "retry_on": ("interruption",)}
JOINS = dataclasses.replace(TRAITS, joins=True)
PAIR = {"nodes": 2}
TIMELESS = {"minutes": SHORT.minutes}

SCENARIOS = (
    Scenario(name="plain run", presses=(REQUEST,)),
    Scenario(name="approval with a grant", presses=(REQUEST, APPROVE), team=ASKS),
    Scenario(
        name="denied",
        end=("denied",),
        presses=(REQUEST, Press(press="deny", state="awaiting_approval", after=20.0)),
        team=ASKS,
    ),
    Scenario(name="nobody decides", end=("expired",), presses=(REQUEST,), team=ASKS, step=1800.0),
    Scenario(
        name="stopped",
        end=("cancelled", "succeeded"),
        presses=(REQUEST, Press(press="cancel", state="running", after=20.0)),
        script=RUNS,
    ),
    Scenario(
        name="extended",
        end=("timed_out",),
        setting=_setting(TIMELESS),
        presses=(REQUEST, Press(press="extend", state="running", after=20.0, minutes=2.0)),
        script=RUNS,
    ),
    Scenario(
        name="extension refused by the cloud",
        end=("timed_out",),
        setting=_setting(TIMELESS),
        presses=(REQUEST, Press(press="extend", state="running", after=20.0, minutes=2.0)),
        script=RUNS,
        cloud=lambda cloud: cloud.fail("extend", Rejected("The limit cannot be moved.")),
    ),
    Scenario(
        name="stopped while its deadline moves",
        end=("cancelled", "timed_out"),
        setting=_setting(TIMELESS, meanwhile=(("jobs.controls.Controls._commit", "cancel"),)),
        presses=(REQUEST, Press(press="extend", state="running", after=20.0, minutes=2.0)),
        script=RUNS,
    ),
    Scenario(
        name="reclaimed",
        end=("succeeded", "timed_out"),
        setting=_setting(SPOT),
        offers=(an_offer(spot=True),),
        presses=(REQUEST,),
        reclaimed_after=40.0,
    ),
    Scenario(
        name="no room at the first",
        presses=(REQUEST,),
        offers=TWO,
        cloud=lambda cloud: cloud.full.add((TWO[0].name, TWO[0].region)),
    ),
    Scenario(
        name="no room for a minute",
        end=("succeeded", "failed"),
        setting=_setting({"retry_on": ("no-capacity",)}),
        presses=(REQUEST,),
        cloud=_no_room_for_a_minute,
    ),
    Scenario(name="not idempotent", setting=_setting(traits=NOT_IDEMPOTENT), presses=(REQUEST,), cloud=_listed_late),
    Scenario(
        name="without its provider for a while",
        end=("succeeded", "timed_out"),
        presses=(REQUEST,),
        script=RUNS_LONGER,
        dismissed=True,
    ),
    Scenario(
        name="an old copy of the database",
        end=("succeeded", "timed_out", "failed"),
        setting=_setting({"retry_on": ("no-capacity",)}),
        presses=(REQUEST,),
        script=RUNS_LONGER,
        cloud=_no_room_for_a_minute,
        restored=True,
    ),
    Scenario(name="answer of the launch lost", presses=(REQUEST,), cloud=lambda cloud: cloud.lose_answers(1)),
    Scenario(
        name="answer lost, not idempotent",
        setting=_setting(traits=NOT_IDEMPOTENT),
        presses=(REQUEST,),
        cloud=lambda cloud: cloud.lose_answers(1),
    ),
    Scenario(
        name="launch lost, not idempotent",
        end=("succeeded", "failed"),
        setting=_setting({"minutes": 20.0}, traits=NOT_IDEMPOTENT),
        presses=(REQUEST,),
        cloud=lambda cloud: cloud.fail("launch", Unknown("The cloud did not answer in time.")),
        step=60.0,
    ),
    Scenario(name="a timer beside the machine", setting=_setting(traits=TIMED), presses=(REQUEST,)),
    Scenario(
        name="a timer that is refused for a while",
        end=("succeeded", "timed_out"),
        setting=_setting(traits=TIMED),
        presses=(REQUEST,),
        cloud=lambda cloud: cloud.fail("extend", Rejected("Not now."), Rejected("Not now.")),
    ),
    Scenario(
        name="a timer that nobody gets",
        end=("failed", "timed_out"),
        setting=_setting({"minutes": 20.0}, traits=TIMED),
        presses=(REQUEST,),
        script=RUNS,
        cloud=lambda cloud: cloud.fail("extend", *[Rejected("Never.")] * 1000),
    ),
    Scenario(
        name="dead for a day, the timer beside it left",
        end=("timed_out", "succeeded", "failed", "expired"),
        setting=_setting(TIMELESS, traits=TIMED),
        presses=(REQUEST,),
        script=RUNS,
        timers=True,
        down=DAY,
    ),
    Scenario(
        name="deadline",
        end=("timed_out",),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        script=RUNS,
    ),
    Scenario(
        name="deaf to terminate",
        end=("timed_out",),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        script=RUNS,
        cloud=_deaf,
        step=60.0,
    ),
    Scenario(
        name="launch refused",
        end=("failed", "timed_out"),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        cloud=_refusing,
    ),
    Scenario(
        name="no such commit",
        end=("failed",),
        setting=_setting(source_missing=True),
        presses=(REQUEST,),
    ),
    Scenario(
        name="prices late",
        presses=(REQUEST,),
        cloud=lambda cloud: cloud.fail("offers", Unknown("The cloud did not answer in time.")),
    ),
    Scenario(
        name="credentials that have ended for a while",
        presses=(REQUEST,),
        script=RUNS_LONGER,
        cloud=_credentials_end,
    ),
    Scenario(
        name="frozen before the launch",
        end=("failed", "succeeded"),
        setting=_setting(meanwhile=(("jobs.service.Service.approve", "freeze"),)),
        presses=(REQUEST, APPROVE),
        team=ASKS,
    ),
    Scenario(name="two machines", setting=_setting(PAIR, traits=JOINS), presses=(REQUEST,)),
    Scenario(
        name="two machines, room for one",
        setting=_setting({**PAIR, "retry_on": ("no-capacity",)}, traits=JOINS),
        presses=(REQUEST,),
        cloud=_room_for_one,
    ),
    Scenario(
        name="two machines, the second's answer lost",
        setting=_setting(PAIR, traits=JOINS),
        presses=(REQUEST,),
        cloud=_second_answer_lost,
    ),
    Scenario(
        name="two machines, the first reclaimed",
        end=("succeeded", "timed_out"),
        setting=_setting({**SPOT, **PAIR}, traits=JOINS),
        offers=(an_offer(spot=True),),
        presses=(REQUEST,),
        reclaimed_after=40.0,
    ),
    Scenario(
        name="two machines, deadline",
        end=("timed_out",),
        setting=_setting({**TIMELESS, **PAIR}, traits=JOINS),
        presses=(REQUEST,),
        script=RUNS,
    ),
    Scenario(
        name="two machines, dead for a day, the reaper left",
        end=("timed_out", "succeeded", "failed", "expired"),
        setting=_setting({**TIMELESS, **PAIR}, traits=JOINS),
        presses=(REQUEST,),
        script=RUNS,
        reaper=True,
        down=DAY,
    ),
    Scenario(
        name="dead for a day, the cloud's limit left",
        end=("timed_out", "succeeded", "failed", "expired"),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        script=RUNS,
        limits=True,
        down=DAY,
    ),
    Scenario(
        name="dead for a day, the machine's timer left",
        end=("timed_out", "succeeded", "failed", "expired"),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        script=RUNS,
        timers=True,
        down=DAY,
    ),
    Scenario(
        name="dead for a day, the reaper left",
        end=("timed_out", "succeeded", "failed", "expired"),
        setting=_setting(TIMELESS),
        presses=(REQUEST,),
        script=RUNS,
        reaper=True,
        down=DAY,
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}

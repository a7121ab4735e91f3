"""Which histories are told over the aws provider, and what came of them: `python -m tests.crashes.aws_campaign SEED N`.

The same worlds, oracle and broken rules as over the fake cloud; fewer, because each HTTP request is moto's to answer.
The tally is written to standard output as JSON.
"""

from __future__ import annotations

import dataclasses
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.crashes import mutants as broken_rules
from tests.crashes import oracle
from tests.crashes.aws import OFFER, TRAITS, AwsCloud, AwsDriver, WithoutSchedule, WithoutToken
from tests.crashes.campaign import Tally
from tests.crashes.cloud import Cloud
from tests.crashes.fate import Death, often
from tests.crashes.ground import ground
from tests.crashes.mutants import LAUNCHING, RUNNING, Mutant
from tests.crashes.points import ROOT, Position
from tests.crashes.scenarios import BY_NAME, Scenario
from tests.crashes.world import House, Told, Weather, World

SEEN_LATE = "answer lost, seen late"
NAMES = (
    "plain run",
    "stopped",
    "extended",
    "reclaimed",
    "no room for a minute",
    "answer of the launch lost",
    "deadline",
    "deaf to terminate",
    "dead for a day, the timer beside it left",
)


def _seen_late(cloud: Cloud) -> None:
    assert isinstance(cloud, AwsCloud)
    cloud.unseen = timedelta(seconds=100)  # longer than a bot waits before it asks again under the same key
    cloud.lose_answers(1)


def _over_aws(scenario: Scenario, **changes: Any) -> Scenario:
    spot = any(offer.spot for offer in scenario.offers)
    setting = dataclasses.replace(scenario.setting, traits=TRAITS)
    offers = (dataclasses.replace(OFFER, spot=spot),)
    # The schedule is a timer of EC2's, and the machines have none of their own.
    return dataclasses.replace(scenario, setting=setting, offers=offers, timers=False, **changes)


STORIES = {name: _over_aws(BY_NAME[name]) for name in NAMES}
STORIES[SEEN_LATE] = _over_aws(BY_NAME["plain run"], name=SEEN_LATE, cloud=_seen_late)

MUTANTS = (
    Mutant(
        name="no client token",
        scenario=SEEN_LATE,
        points=LAUNCHING,
        driver=WithoutToken,
        weather={"boot": timedelta(seconds=150)},  # an agent that speaks shows that a machine stands
        kinds=frozenset({"doubled", "leaked"}),
    ),
    Mutant(
        name="no schedule",
        scenario="dead for a day, the timer beside it left",
        points=RUNNING,
        driver=WithoutSchedule,
        kinds=frozenset({"late"}),
    ),
    next(each for each in broken_rules.MUTANTS if each.name == "settled before it is gone"),
)


@dataclass(frozen=True)
class AwsCampaign:
    """Tells histories, one after the other."""

    house: House
    seed: int
    histories: int  # in which a bot is killed

    def run(self) -> Tally:
        """Try everything; return what came of it."""
        tally, chance, number = Tally(), random.Random(self.seed), self.seed * 1000
        while tally.histories < self.histories:
            each = max(1, -(-self.histories // len(STORIES)))
            for scenario in STORIES.values():
                lived = self._told(scenario, number, ())
                tally.count(lived, oracle.faults(lived, self.house.file), f"{scenario.name}, seed {number}")
                places = often(Counter(lived.passed))
                for name, nth in chance.sample(places, min(each, len(places))):
                    deaths = (Death(point=name, nth=nth, position=chance.choice(list(Position))),)
                    told = self._told(scenario, number, deaths)
                    what = f"{scenario.name}, seed {number}, {list(deaths)}"
                    tally.count(told, oracle.faults(told, self.house.file), what)
            number += 1
        for mutant in MUTANTS:
            tally.mutants[mutant.name] = self._tried(mutant)
        return tally

    def _tried(self, mutant: Mutant) -> list[int]:
        """Return how many histories a broken rule had, in how many it was caught, and the real code was accused."""
        scenario, caught, accused = STORIES[mutant.scenario], 0, 0
        deaths = mutant.deaths()
        for each in deaths:
            broken = self._told(scenario, self.seed, each, mutant)
            kinds = {fault.partition(":")[0] for fault in oracle.faults(broken, self.house.file)}
            caught += bool(kinds & mutant.kinds)
            real = self._told(scenario, self.seed, each, mutant, real=True)
            accused += bool(oracle.faults(real, self.house.file))
        return [len(deaths), caught, accused]

    def _told(
        self,
        scenario: Scenario,
        seed: int,
        deaths: Sequence[Death],
        mutant: Mutant | None = None,
        *,
        real: bool = False,
    ) -> Told:
        weather = dataclasses.replace(Weather.drawn(seed, scenario), **(mutant.weather if mutant else {}))
        parts: dict[str, Any] = {"driver": AwsDriver, "cloud": AwsCloud}
        if mutant is not None and not real:
            parts["patch"] = mutant.patch
            parts["driver"] = mutant.driver if issubclass(mutant.driver, AwsDriver) else AwsDriver
        return World(scenario, self.house, weather, deaths=deaths, **parts).tell()


def campaign(seed: int, histories: int) -> Tally:
    """Try so many in a process of its own, which forks without threads beside it; return what came of them."""
    command = [sys.executable, "-m", "tests.crashes.aws_campaign", str(seed), str(histories)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    return Tally.loaded(told.stdout)


def main() -> None:
    """Tell the histories."""
    with ground() as house:
        tally = AwsCampaign(house, int(sys.argv[1]), int(sys.argv[2])).run()
    sys.stdout.write(tally.dumped())


if __name__ == "__main__":
    main()

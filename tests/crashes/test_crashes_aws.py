"""The bot is killed over the aws provider: its own code and botocore here, moto and what moto leaves out there."""

from __future__ import annotations

import pytest

from tests.crashes.aws_campaign import MUTANTS, STORIES, campaign

HISTORIES = 30  # in which a bot is killed; every story has its share


@pytest.mark.promises
@pytest.mark.timeout(1200)
def test_a_bot_that_is_killed_over_aws_leaks_and_doubles_nothing_and_every_broken_rule_is_caught() -> None:
    tally = campaign(seed=1, histories=HISTORIES)
    assert tally.broken == []
    assert tally.histories >= HISTORIES and tally.lives >= len(STORIES)
    assert {f"call {verb}" for verb in ("launch", "find", "list", "terminate", "extend", "metered")} <= tally.passed
    assert tally.mutants.keys() == {mutant.name for mutant in MUTANTS}
    for name, (_, caught, accused) in tally.mutants.items():
        assert caught > 0, f"{name} is not caught"
        assert accused == 0, f"the real code is accused where {name} is tried"

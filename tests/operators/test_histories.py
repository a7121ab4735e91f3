"""A few of the histories of `tests.promises.notifications`, and the judge itself shown what it must not let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.cards import Cards
from bot.delivery import Delivery
from bot.outbox import CardState
from tests.operators import histories
from tests.promises import notifications
from tests.promises.figure import Scale


@pytest.mark.promises  # each history lives through the same hours twice
@pytest.mark.timeout(900)  # minutes of two cores that others use too
def test_notifications_survive_slack_s_bad_days() -> None:
    broken = [promise for promise in notifications.measure(Scale(full=False, seed=1)) if not promise.held]
    assert broken == []


@pytest.mark.promises
@pytest.mark.timeout(900)  # as above
def test_a_notifier_that_looks_nothing_up_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Delivery, "find", lambda *_, **__: None)  # the mutant that the judge has to see
    doubles = sum(histories.history(tmp_path / str(number), f"mutant/{number}").doubles for number in range(4))
    assert doubles > 0


@pytest.mark.promises
def test_a_queue_without_urgency_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Cards.rank

    def before_everything(cards: Cards, state: CardState, behind: float | None) -> float | None:
        return None if honest(cards, state, behind) is None else 0.0

    monkeypatch.setattr(Cards, "rank", before_everything)  # the mutant that the judge has to see
    found = [histories.backlog(tmp_path / str(number), f"1/queue/{number}").broken for number in range(4)]
    assert any(found)


def test_what_is_owed_when_slack_comes_back_goes_out_by_its_urgency(tmp_path: Path) -> None:
    assert histories.backlog(tmp_path, "1/queue/1").broken == []

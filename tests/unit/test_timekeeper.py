"""The other clock: believed when it answers, and no reason to stumble when it does not."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from bot.timekeeper import Timekeeper

URL = "https://slack.example/api/"


def answering(**headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(404, headers=headers))


def test_the_date_of_any_answer_is_the_time() -> None:
    keeper = Timekeeper(URL, transport=answering(date="Mon, 23 Nov 2026 20:20:00 GMT"))
    assert keeper() == datetime(2026, 11, 23, 20, 20, tzinfo=UTC)


@pytest.mark.parametrize("headers", [{}, {"date": "half past eight"}])
def test_no_date_is_no_answer(headers: dict[str, str]) -> None:
    assert Timekeeper(URL, transport=answering(**headers))() is None


def test_a_host_that_is_down_is_no_answer() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert Timekeeper(URL, transport=httpx.MockTransport(down))() is None


def test_a_server_on_this_machine_has_our_clock() -> None:
    keeper = Timekeeper("http://127.0.0.1:8400/api/", transport=answering(date="Mon, 23 Nov 2026 20:20:00 GMT"))
    assert keeper() is None

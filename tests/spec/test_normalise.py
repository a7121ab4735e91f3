"""What keyboards do to a line is undone, and nothing else is done to it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.normalise import normalise
from bot.parse import parse_train
from bot.verbs import Run
from jobs.errors import BadRequest
from tests.spec.corpus import CORPUS


@pytest.mark.parametrize(("arrived", "meant"), [row[1:] for row in CORPUS], ids=[row[0] for row in CORPUS])
def test_the_line_that_was_meant_comes_back(arrived: str, meant: str) -> None:
    assert normalise(arrived) == meant


def test_the_corpus_is_as_large_as_it_has_to_be() -> None:
    assert len({arrived for _, arrived, _ in CORPUS}) == len(CORPUS) >= 60


@pytest.mark.parametrize(("arrived", "meant"), [row[1:] for row in CORPUS], ids=[row[0] for row in CORPUS])
def test_what_arrived_asks_for_what_was_meant(arrived: str, meant: str) -> None:
    def asked(text: str) -> object:
        try:
            command = parse_train(text, delivery="d", channel="C", person="U")
        except BadRequest as error:
            return str(error)
        assert isinstance(command, Run)
        return command.request

    # Slack would send the ampersand of what was meant as an entity.
    assert asked(arrived) == asked(meant.replace("&", "&amp;"))


@given(st.text())
def test_any_text_comes_back_as_text_without_anything_unseen(text: str) -> None:
    plain = normalise(text)

    assert not [letter for letter in plain if unicodedata.bidirectional(letter) in ("RLO", "LRO", "RLE", "LRE", "RLI")]
    plain.encode()


@given(st.text(alphabet=[chr(code) for code in range(33, 127) if chr(code) not in "<>&`"] + [" "]))
def test_plain_lines_stay_as_they_are(text: str) -> None:
    assert normalise(text) == text.strip()

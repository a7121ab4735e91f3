"""What people, repositories and machines write does nothing but be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.corpus import STRINGS, armed
from tests.security.places import Place, places, tried

PLACES = list(places())


def test_there_are_enough_strings_and_each_is_another() -> None:
    assert len(STRINGS) == len(set(STRINGS)) >= 200


@pytest.mark.parametrize(("number", "place"), list(enumerate(PLACES)), ids=[place.name for place in PLACES])
def test_a_string_is_refused_in_words_or_is_only_a_string(number: int, place: Place, tmp_path: Path) -> None:
    assert wrong(place, STRINGS[number % 5 :: 5], tmp_path) == []


@pytest.mark.promises
@pytest.mark.parametrize("place", PLACES, ids=[place.name for place in PLACES])
def test_every_string_is_refused_in_words_or_is_only_a_string(place: Place, tmp_path: Path) -> None:
    assert wrong(place, STRINGS, tmp_path) == []


def wrong(place: Place, strings: tuple[str, ...], folder: Path) -> list[str]:
    canary = folder / "canary"
    found = [fault for text in strings for fault in tried(place, armed(text, str(canary)), folder)]
    return [*found, "the canary sings"] if canary.exists() else found

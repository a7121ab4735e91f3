"""What people and repositories write, made inert, and numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import markup
from bot.catalogue import Catalogue
from bot.markup import Markup
from bot.views.blocks import cut

SAY = Catalogue.load()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<!here|here>", "&lt;!here|here&gt;"),
        ("<@U123>", "&lt;@U123&gt;"),
        ("<https://evil|click>", "&lt;https://evil|click&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;", "&amp;lt;"),
        ("safe\u202egnp.exe", "safegnp.exe"),
        ("\u2066a\u2069", "a"),
        ("zero\u200bwidth", "zerowidth"),
        ("bell\x07 null\x00 escape\x1b[31m", "bell null escape[31m"),
        ("\ufeffbom", "bom"),
        ("{name}", "{name}"),
        ("👩\u200d🔬", "👩\u200d🔬"),
    ],
)
def test_facts_are_inert_in_sentences(typed: str, shown: str) -> None:
    assert SAY("It says {what}.", what=typed) == f"It says {shown}."


@given(st.text())
def test_no_fact_can_mention_link_or_reorder(text: str) -> None:
    said = SAY("{fact}", fact=text)
    assert "<" not in said
    assert ">" not in said
    assert not any(0x202A <= ord(c) <= 0x202E or 0x2066 <= ord(c) <= 0x2069 for c in said)


@given(st.text())
def test_a_code_span_cannot_be_left(text: str) -> None:
    assert markup.code(text).count("`") == 2
    assert "```" not in markup.pre(text)[3:-3]


def test_what_is_markup_is_not_escaped_twice() -> None:
    assert SAY("{who} & {what}", who=markup.mention("U1ADA"), what="<b>") == "<@U1ADA> & &lt;b&gt;"
    assert SAY("{inner}", inner=SAY("{fact}", fact="&")) == "&amp;"


def test_only_an_id_becomes_a_mention() -> None:
    assert markup.mention("U1ADA") == "<@U1ADA>"
    assert markup.mention("@ada") == "@ada"
    assert markup.mention("!channel") == "!channel"
    assert markup.mention("<!channel>") == "&lt;!channel&gt;"


def test_a_link_keeps_its_signature_and_cannot_be_broken_out_of() -> None:
    link = markup.link("http://h/f?exp=1&sig=a|b>", "model|<!channel>.pt")
    assert link == "<http://h/f?exp=1&amp;sig=a%7Cb%3E|model/&lt;!channel&gt;.pt>"


@given(st.text(alphabet="a&<>|é ", max_size=60), st.integers(min_value=5, max_value=70))
def test_a_cut_never_splits_an_entity_or_a_link(text: str, most: int) -> None:
    said = cut(f"{markup.escape(text)} {markup.mention('U1ADA')} {markup.escape(text)}", most)
    assert len(said) <= most
    assert said.count("<") == said.count(">")
    for position, character in enumerate(said):
        if character == "&":
            assert any(said.startswith(entity, position) for entity in ("&amp;", "&lt;", "&gt;"))


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "$0.00"),
        (4_000, "<$0.01"),
        (6_120_000, "$6.12"),
        (6_125_000, "$6.13"),
        (1_234_500_000, "$1,234.50"),
        (-3_200_000, "−$3.20"),
    ],
)
def test_dollars(micros: int, shown: str) -> None:
    assert markup.dollars(micros) == shown


def test_a_promised_maximum_is_rounded_up() -> None:
    assert markup.dollars(11_970_001, up=True) == "$11.98"
    assert markup.dollars(1, up=True) == "$0.01"


@pytest.mark.parametrize(
    ("length", "shown"),
    [
        (timedelta(seconds=45), "45 s"),
        (timedelta(minutes=1), "1 min"),
        (12.0, "12 min"),
        (60.0, "1 h"),
        (90.0, "90 min"),
        (240.0, "4 h"),
        (200.0, "3 h 20 min"),
        (1440.0, "24 h"),
        (timedelta(days=2, hours=4), "2 d 4 h"),
        (timedelta(seconds=-5), "0 s"),
    ],
)
def test_spans(length: timedelta | float, shown: str) -> None:
    assert markup.span(length) == shown


def test_times_are_in_the_reader_s_zone_with_utc_to_fall_back_on() -> None:
    at = datetime(2026, 11, 23, 22, 14, tzinfo=UTC)
    assert markup.when(at) == "<!date^1795472040^{date_short_pretty} at {time}|23 Nov 22:14 UTC>"
    assert SAY("ends {when}", when=markup.when(at)).startswith("ends <!date^1795472040^{date_short_pretty}")


def test_a_bar_shows_what_is_begun_and_is_full_only_at_the_end() -> None:
    assert [markup.bar(share, 4) for share in (0, 0.01, 0.5, 0.999, 1, 2)] == [
        "▱▱▱▱", "▰▱▱▱", "▰▰▱▱", "▰▰▰▱", "▰▰▰▰", "▰▰▰▰",
    ]  # fmt: skip


def test_output_keeps_its_indent_and_nothing_that_hides() -> None:
    assert markup.output('  File "run.py", line 3\r', 40) == '  File "run.py", line 3'
    assert markup.output("\tx", 40) == "    x"
    assert len(markup.output(" " * 900 + "y" * 900, 40)) == 60


def test_sizes_have_as_many_digits_as_matter() -> None:
    counts = (7, 950, 9_940_000, 9_960_000, 82_400_000, 999_600, 3_000_000_000_000)
    assert [markup.size(count) for count in counts] == [
        "7 B", "950 B", "9.9 MB", "10 MB", "82 MB", "1.0 MB", "3.0 TB",
    ]  # fmt: skip


def test_values_that_are_not_finite_are_named() -> None:
    assert [markup.number(v) for v in (1.8312, float("nan"), float("inf"), -float("inf"), 123456.0)] == [
        "1.831", "NaN", "∞", "−∞", "1.235e+05",
    ]  # fmt: skip


def test_plain_text_keeps_its_characters() -> None:
    assert SAY.plain("{what}", what=Markup("a &amp; b")) == "a & b"

"""What a secret may look like on its way out, and what is no secret."""

from __future__ import annotations

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.masking import MASK, Mask
from trainer.output import WIDEST, Output, Redactor, Splitter

VALUE = 'p4ss/w0rd+with&odd<ch>"q'
FORMS = {
    "as it is": VALUE,
    "for an address": quote(VALUE, safe=""),
    "for a form": quote_plus(VALUE),
    "in small letters": re.sub("%..", lambda two: two.group().lower(), quote(VALUE, safe="")),
    "for JSON": json.dumps(VALUE),
    "for Python": repr(VALUE),
    "for Slack": html.escape(VALUE, quote=False),
    "in hex": VALUE.encode().hex(),
    "in base64": base64.b64encode(VALUE.encode()).decode(),
    "in a login": base64.b64encode(f"user:{VALUE}".encode()).decode(),
    "in the middle of base64": base64.b64encode(f"ab{VALUE}z".encode()).decode(),
    "in base64 for an address": base64.urlsafe_b64encode(VALUE.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_value_is_found_in_its_forms(form: str) -> None:
    masked = Mask({VALUE: "[NAME]"})(f"it said {form} there")
    assert "[NAME]" in masked
    assert masked.startswith("it said ")
    assert masked.endswith(" there")


@given(st.binary(min_size=12, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_hides_nothing_wherever_the_value_lies(value: bytes, before: bytes, after: bytes) -> None:
    secret = value.hex()
    said = base64.b64encode(before + secret.encode() + after).decode()
    assert "[S]" in Mask({secret: "[S]"})(said)


def key() -> str:
    lines = [f"{number}Qx" * 20 + "ab+/" for number in range(5)]
    return "\n".join(["-----BEGIN " + "PRIVATE KEY-----", *lines, "QQ==", "-----END " + "PRIVATE KEY-----", ""])


def printed(text: str, env: dict[str, str] | None = None, *, at_once: int = 1 << 20) -> list[str]:
    """Return the log of a command that printed `text` in pieces of that many bytes."""
    log: list[str] = []
    output = Output(redactor=Redactor(env or {}), log=log.append, watch=lambda line: None)
    splitter, data = Splitter(), text.encode()
    for start in range(0, len(data), at_once):
        output.take(splitter.feed(data[start : start + at_once]))
    output.take(splitter.end())
    return log


@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_a_key_of_several_lines_is_masked_line_by_line(at_once: int) -> None:
    log = printed(f"before\n{key()}after\n", at_once=at_once)
    assert (log[0], log[-1]) == ("before", "after")
    assert not any(line in "\n".join(log) for line in key().splitlines()[1:-1])


def test_the_beginning_of_a_key_alone_does_not_swallow_the_log() -> None:
    log = printed("-----BEGIN " + "PRIVATE KEY-----\n" + "step\n" * 200)
    assert log[-1] == "step"


@pytest.mark.parametrize("at", range(WIDEST - len(VALUE) - 1, WIDEST + 2))
def test_no_part_of_a_value_is_left_where_a_long_line_is_cut(at: int) -> None:
    (line,) = printed("." * at + VALUE + "." * 100 + "\n", {"HOURGLASS_SECRETS": "S", "S": VALUE})
    assert VALUE[:4] not in line
    assert "characters cut]" in line


def test_a_value_that_comes_in_pieces_is_masked() -> None:
    env = {"HOURGLASS_SECRETS": "S", "S": VALUE}
    assert printed(f"{VALUE}\n", env, at_once=3) == ["[S]"]


def test_keys_of_the_store_are_masked_in_our_own_words() -> None:
    log: list[str] = []
    env = {"HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY": VALUE, "HOURGLASS_STORE_AWS_REGION": "us-east-1"}
    Output(redactor=Redactor(env), log=log.append, watch=log.append).say(f"us-east-1 said {VALUE}")
    assert log == ["us-east-1 said [HOURGLASS_STORE_AWS_SECRET_ACCESS_KEY]"]


TOKENS = (
    "xoxb-" + "1" * 12 + "-abcdefghij", "xoxp-" + "1" * 12, "xoxe.xoxp-" + "1" * 12, "xapp-1-" + "A" * 12,
    "ghp_" + "a" * 36, "github_pat_" + "a" * 40, "glpat-" + "a" * 20, "hf_" + "a" * 34, "AKIA" + "A" * 16,
    "sk-" + "a" * 40, "npm_" + "a" * 36, "dckr_pat_" + "a" * 27, "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20,
)  # fmt: skip


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:6])
def test_what_was_made_to_be_recognised_is(token: str) -> None:
    assert Mask({})(f"use {token} now") == f"use {MASK} now"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("https://me:h0rse@host/x.git", f"https://me:{MASK}@host/x.git"),
        ("fatal: 'https://x:y1234@h/'", f"fatal: 'https://x:{MASK}@h/'"),
        ("postgresql://bot:sesame@db/h", f"postgresql://bot:{MASK}@db/h"),
        ("Authorization: Basic dTpw", f"Authorization: Basic {MASK}"),
        ('"authorization": "Bearer abc.def"', f'"authorization": "Bearer {MASK}"'),
        ("aws_secret_access_key = abcdefgh", f"aws_secret_access_key = {MASK}"),
    ],
)
def test_what_stands_where_a_password_does_is_masked(said: str, shown: str) -> None:
    assert Mask({})(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "ssh://git@github.com/acme/vit.git", "http://127.0.0.1:8080/files/a@b", "https://example.org/a:b@c",
        "acme/vit@3f9c2abf00d3f9c2abf00d3f9c2abf00d3f9c2ab", "sha256:" + "ab" * 32, "sk-learn and hf_hub",
        "step 100/4000 loss=1.8", "token: 512 tokens/s",
        "git@github.com:acme/vit.git", "ask-me", "AKIA", "-----BEGIN CERTIFICATE-----",
    ],
)  # fmt: skip
def test_what_is_none_stays(said: str) -> None:
    assert Mask({"abcde": "short", "": "empty"})(said) == said


def test_a_signed_link_stays_whole_and_what_stands_around_it_does_not() -> None:
    link = "https://b.s3.amazonaws.com/x?X-Amz-Credential=AKIA" + "A" * 16 + "%2F1&X-Amz-Signature=ab"
    mask = Mask({VALUE: "[S]"})
    assert mask.outside_links(f"{VALUE} <{link}|model.pt> {VALUE}") == f"[S] <{link}|model.pt> [S]"


def test_names_and_depths_are_masked_too() -> None:
    told = {"values": {VALUE: 1.0}, "tail": ["a", VALUE], "n": 3, "none": None}
    assert Mask({VALUE: "[S]"}).deep(told) == {"values": {"[S]": 1.0}, "tail": ["a", "[S]"], "n": 3, "none": None}

"""What the operator writes becomes settings, or a sentence that names the variable."""

from __future__ import annotations

import json

import pytest

from bot.doctor import described
from jobs.errors import Misconfigured
from jobs.settings import load


def test_a_registry_may_be_asked_at_another_address() -> None:
    written = '{"docker.io": "https://mirror.example", "127.0.0.1:5000": "http://127.0.0.1:5000"}'
    assert load({"HOURGLASS_REGISTRIES": written}).registries == {
        "docker.io": "https://mirror.example",
        "127.0.0.1:5000": "http://127.0.0.1:5000",
    }
    assert load({}).registries == {}


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("docker.io=https://mirror.example", "HOURGLASS_REGISTRIES"),
        ('["https://mirror.example"]', "HOURGLASS_REGISTRIES"),
        ('{"docker.io": "mirror.example"}', "'mirror.example', which is no address"),
        ('{"docker.io": "ftp://mirror.example"}', "'ftp://mirror.example', which is no address"),
    ],
)
def test_what_names_no_address_is_told(written: str, word: str) -> None:
    with pytest.raises(Misconfigured, match=word):
        load({"HOURGLASS_REGISTRIES": written})


def test_the_doctor_shows_whose_tokens_and_passwords_there_are_and_none_of_them() -> None:
    environment = {
        "HOURGLASS_REGISTRIES": '{"docker.io": "https://ada:hush-1@mirror.example"}',
        "HOURGLASS_GIT_TOKENS": '{"https://github.com/": "hush-2"}',
    }
    shown = {variable: value for variable, value, _ in described(load(environment))}
    assert (shown["HOURGLASS_REGISTRIES"], shown["HOURGLASS_GIT_TOKENS"]) == ("docker.io", "https://github.com/")
    assert "hush" not in "".join(shown.values())


def test_where_a_spot_notice_is_looked_for_is_checked_at_the_start() -> None:
    assert load({"HOURGLASS_SPOT_NOTICE": "gcp"}).spot_notice == "gcp"
    assert load({"HOURGLASS_SPOT_NOTICE": "aws=http://127.0.0.1:9"}).spot_notice == "aws=http://127.0.0.1:9"
    for wrong in ("azure", "aws=https://x", "file=/x"):
        with pytest.raises(Misconfigured, match=f"HOURGLASS_SPOT_NOTICE cannot be used: .*{wrong}' names no notice"):
            load({"HOURGLASS_SPOT_NOTICE": wrong})


def test_mirrors_are_places_without_a_scheme() -> None:
    assert load({"HOURGLASS_MIRRORS": '{"docker.io": "mirror.example:5000/hub"}'}).mirrors == {
        "docker.io": "mirror.example:5000/hub"
    }
    for wrong in ("https://mirror.example", "mirror.example/a b", "", "mirror.example; reboot"):
        with pytest.raises(Misconfigured, match="write host"):
            load({"HOURGLASS_MIRRORS": json.dumps({"docker.io": wrong})})


@pytest.mark.parametrize("key", ["alias/team", "arn:aws:kms:us-east-1:123456789012:alias/team", "1234abcd"])
def test_a_key_is_named_by_its_arn(key: str) -> None:
    with pytest.raises(Misconfigured, match="no ARN of a key"):
        load({"HOURGLASS_AWS_KMS_KEY": key})
    arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab"
    assert load({"HOURGLASS_AWS_KMS_KEY": arn}).aws_kms_key == arn

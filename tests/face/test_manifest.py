"""The manifest declares what the app uses, and nothing that it does not."""

from __future__ import annotations

import json

import yaml

from bot.manifest import COMPLETIONS, as_json, as_yaml, manifest
from bot.parse import parse_train
from bot.sandbox import AppConfig
from bot.verbs import Help


def test_socket_mode_needs_no_address_and_http_names_it_everywhere() -> None:
    socket = manifest()
    assert socket["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(socket)
    http = manifest(request_url="https://bot.example/slack/events")
    assert http["settings"]["socket_mode_enabled"] is False
    assert http["settings"]["interactivity"]["request_url"] == "https://bot.example/slack/events"
    assert http["settings"]["event_subscriptions"]["request_url"] == "https://bot.example/slack/events"
    assert {one["url"] for one in http["features"]["slash_commands"]} == {"https://bot.example/slack/events"}


def test_commands_come_as_they_were_typed() -> None:
    assert [one["should_escape"] for one in manifest()["features"]["slash_commands"]] == [False, False]
    assert [one.command for one in AppConfig.from_manifest(manifest(), COMPLETIONS).commands] == ["/train", "/budget"]


def test_slack_s_limits_on_a_manifest() -> None:
    declared = manifest()
    assert len(declared["display_information"]["description"]) <= 140
    for one in declared["features"]["slash_commands"]:
        assert len(one["description"]) <= 2000
        assert len(one["usage_hint"]) <= 1000


def test_it_can_be_pasted_as_yaml_and_sent_as_json() -> None:
    assert yaml.safe_load(as_yaml(manifest())) == manifest()
    assert json.loads(as_json(manifest())) == manifest()


def test_what_is_offered_for_completion_is_understood() -> None:
    assert isinstance(parse_train(COMPLETIONS["/train"][0], delivery="d", channel="C1", person="U1"), Help)

"""The stage of the stories in this folder, and what can break between it and its workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slack_sdk import WebClient

from tests.face.relay import Relay
from tests.face.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage whose notifier works; the listeners are not connected."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def relay(stage: Stage) -> Iterator[Relay]:
    """What can break between the notifier and the workspace."""
    relay = Relay(stage.sandbox.api_url)
    stage.client = WebClient(token=stage.sandbox.bot_token, base_url=relay.url)
    stage.restart()
    yield relay
    relay.close()

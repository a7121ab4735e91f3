"""A provider whose calls are counted, by verb and by what came of them; otherwise it is the provider itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from jobs.errors import ProviderError
from jobs.providers import Instance, LaunchOrder, Need, Offer, Provider

Answer = TypeVar("Answer")
Count = Callable[[str, str, str], None]  # (provider, verb, outcome)

OK, BROKE = "ok", "broke"


class CountedProvider:
    """Passes every call on; `count` hears of `ok`, the scope of an error of ours, or `broke` for any other."""

    def __init__(self, provider: Provider, count: Count) -> None:
        self._provider = provider
        self._count = count
        self.traits = provider.traits

    def __getattr__(self, name: str) -> Any:
        """Return what only this provider has (`pin`), as it is."""
        return getattr(self._provider, name)

    def offers(self, need: Need) -> Sequence[Offer]:
        """Count, and ask the provider."""
        return self._counted("offers", lambda: self._provider.offers(need))

    def launch(self, offer: Offer, order: LaunchOrder) -> Instance:
        """Count, and ask the provider."""
        return self._counted("launch", lambda: self._provider.launch(offer, order))

    def find(self, launch_key: str) -> Instance | None:
        """Count, and ask the provider."""
        return self._counted("find", lambda: self._provider.find(launch_key))

    def list(self) -> Sequence[Instance]:
        """Count, and ask the provider."""
        return self._counted("list", self._provider.list)

    def terminate(self, instance: Instance) -> None:
        """Count, and ask the provider."""
        self._counted("terminate", lambda: self._provider.terminate(instance))

    def extend(self, instance: Instance, deadline: datetime) -> None:
        """Count, and ask the provider."""
        self._counted("extend", lambda: self._provider.extend(instance, deadline))

    def _counted(self, verb: str, call: Callable[[], Answer]) -> Answer:
        outcome = BROKE
        try:
            answer = call()
            outcome = OK
        except ProviderError as error:
            outcome = error.scope.value
            raise
        finally:
            self._count(self.traits.name, verb, outcome)
        return answer

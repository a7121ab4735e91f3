"""The teams' keys: where they are kept, and which of them a machine is given.

`HOURGLASS_DATA_KEY` holds keys that `hourglass data key` made, apart by commas, the newest first: that one seals, all
of them open. `vision=hgk_…` is a key of the team `vision` alone, and a team with keys of its own uses no others. A
machine gets its team's keys only if its job seals or opens something, beside the credentials of its store and on the
same way; the team's command does not find them in its environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.errors import BadSpec, Misconfigured
from jobs.values import JobSpec
from trainer import wire
from trainer.sealed import BadKey, Key, Ring, key_from

VARIABLE = "HOURGLASS_DATA_KEY"


@dataclass(frozen=True)
class TeamKeys:
    """Keys by team; those under "" are everybody's who has none."""

    keys: Mapping[str, Sequence[Key]] = field(default_factory=dict, repr=False)

    def of(self, team: str) -> Ring:
        """Return a team's keys, the one that seals first; none where encryption was not set up."""
        return Ring(tuple(self.keys.get(team) or self.keys.get("", ())))

    def sealing(self, team: str) -> Key:
        """Return the key that seals; raises `BadSpec` where the team has none."""
        first = self.of(team).first
        if first is None:
            raise BadSpec(
                f"There is no key to encrypt with. Whoever runs the bot sets {VARIABLE} to what `hourglass data key` "
                "prints; or leave `encrypt` out."
            )
        return first

    def variables(self, team: str, spec: JobSpec, *, resumes: bool) -> Mapping[str, str]:
        """Return what a machine finds its keys in: nothing where its job has no use for them."""
        ring = self.of(team)
        opens = resumes or any(not taken.source.startswith("s3://") for taken in spec.inputs)
        if not ring.keys or not (spec.checkpoint_encrypt or opens):
            return {}
        return {wire.ENV_KEYS: "\n".join(key.word for key in ring.keys)}


def read(said: str) -> TeamKeys:
    """Return the keys that the setting holds; raises `Misconfigured`, which repeats none of it."""
    keys: dict[str, list[Key]] = {}
    for number, part in enumerate(filter(None, (part.strip() for part in said.split(","))), start=1):
        team, equals, word = part.rpartition("=")
        try:
            keys.setdefault(team.strip() if equals else "", []).append(key_from(word))
        except BadKey as error:
            raise Misconfigured(f"{VARIABLE} cannot be used, its part {number}: {error}") from error
    return TeamKeys(keys)

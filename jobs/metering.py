"""What the market said that a machine's time cost, asked between the end of the machine and its booking.

A market that does not answer keeps no machine's row open: the price at the launch stands in, and the thread says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

import structlog

from jobs.errors import ProviderError
from jobs.model import Attempt
from jobs.providers import Instance, Meter, Metered, Offer, Provider
from jobs.records import parse

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What came of asking."""

    metered: Metered | None = None  # None: the price did not move, or could not be had
    failed: bool = False


FLAT = Reading()  # of a provider whose prices do not move while a machine runs


def read(
    provider: Provider, attempt: Attempt, instance: Instance | None, *, since: datetime, until: datetime
) -> Reading:
    """Ask what a machine's time cost between launch and end; raises nothing that a provider may raise."""
    # Not asked with `isinstance`: a provider may stand behind another object, which hands on what only this one has.
    if not hasattr(provider, "metered") or until <= since:
        return FLAT
    cloud = cast(Meter, provider)
    try:
        return Reading(metered=cloud.metered(parse(Offer, attempt.offer), instance, since, until))
    except ProviderError as error:
        log.warning("meter.failed", job=attempt.job_id, key=attempt.launch_key, error=str(error))
    except (
        Exception
    ):  # the machine is gone, and its row must not stay open for want of a price; the trace is in the log
        log.exception("meter.broke", job=attempt.job_id, key=attempt.launch_key)
    return Reading(failed=True)

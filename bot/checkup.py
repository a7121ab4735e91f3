"""What `hourglass doctor` asks of Amazon, put together from the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from jobs.clock import Clock, SystemClock
from jobs.leases import EXPIRES, Lender
from jobs.prices import Prices
from jobs.providers import Offer
from jobs.providers.aws_checkup import Bucket, Checkup, Seen, tried
from jobs.providers.aws_request import Clients, Requests
from jobs.settings import Settings

ASKED = timedelta(hours=12)  # of a session; the answer says how long it is lent


def aws(
    settings: Settings,
    home: str,
    *,
    clients: Clients | None = None,
    lender: Lender | None = None,
    clock: Clock | None = None,
    offers: Sequence[Offer] | None = None,
) -> Iterator[Seen]:
    """Yield what Amazon says; raises `Misconfigured` where the settings cannot work."""
    from jobs.credentials import JobCredentials  # with AWS's SDK, which most can do without
    from jobs.providers.aws import sdk_clients

    uri, clock = urlsplit(settings.store_uri()), clock or SystemClock()
    lend = lender or JobCredentials(
        role=settings.aws_job_role,
        store_uri=settings.store_uri(),
        clock=clock,
        kms_key=settings.aws_kms_key or "",
    )

    def lasts() -> timedelta:
        lent = lend("doctor", 1, clock.now() + ASKED, ())
        return datetime.fromtimestamp(int(lent[EXPIRES]), UTC) - clock.now()

    clients = clients or sdk_clients()
    requests = Requests(
        home=home,
        clients=clients,
        image=settings.aws_image,
        subnets=settings.aws_subnets,
        security_group=settings.aws_security_group,
    )
    return Checkup(
        clients=clients,
        requests=requests,
        offers=tried(Prices(settings.prices).of("aws") if offers is None else offers, settings.aws_regions),
        bucket=Bucket(
            name=uri.netloc,
            prefix=unquote(uri.path).strip("/"),
            region=settings.aws_regions[0],
            kms_key=settings.aws_kms_key or "",
        ),
        lend=lasts,
        group=settings.aws_schedule_group if settings.aws_scheduler_role else None,
    ).run()

"""The composition root: every part is built here, once, and handed what it needs."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import structlog

from bot import web
from bot.app import build_app, slack_client, socket_handler
from bot.catalogue import Catalogue
from bot.commits import FewAtOnce
from bot.counted import CountedProvider
from bot.delivery import Delivery
from bot.door import Door
from bot.health import Health, Line
from bot.home import settled, writing
from bot.links import Links, link_key
from bot.machines import connected
from bot.metrics import Metrics, counting
from bot.notify import Notifier
from bot.parts import Parts
from bot.people import People
from bot.plotter import Plotter
from bot.recovery import refuse_to_forget
from bot.scrapes import Scrapes
from bot.timekeeper import Timekeeper
from jobs.clock import Clock, Ids, RandomIds, SystemClock
from jobs.db import Database
from jobs.errors import BadImage, Misconfigured, Rejected
from jobs.follow import Follow
from jobs.image_names import cuda_named
from jobs.images import ImageResolver, check_cuda
from jobs.intake import Intake
from jobs.lanes import SideBySide
from jobs.leases import Lender
from jobs.offers import Desk
from jobs.ports import Ports as RentalPorts
from jobs.ports import no_credentials
from jobs.providers import Offer, Provider
from jobs.rentals import Rentals
from jobs.scheduler import Scheduler
from jobs.service import Service
from jobs.settings import Settings, load, mask_of, secret_values
from jobs.source import SourceResolver
from jobs.spec import Defaults, merge
from jobs.values import JobSpec
from trainer.storage import open_store

log = structlog.get_logger(__name__)

# A registry that has not answered by then makes the request wait for the next try, not for ever.
REGISTRY_TIMEOUT = httpx.Timeout(10.0)


class Wakes:
    """What a commit wakes: filled in once the parts that sleep have been built."""

    def __init__(self) -> None:
        self.scheduler: Scheduler | None = None
        self.notifier: Notifier | None = None

    def __call__(self, job_id: str = "") -> None:
        """Let the workers look at once; an empty id means that something, somewhere, changed."""
        if self.scheduler:
            self.scheduler.wake(job_id)
        if self.notifier:
            self.notifier.wake()


class Pinner:
    """A job's image to its digest, asked of whoever will run it."""

    def __init__(self, *, providers: Mapping[str, Provider], images: ImageResolver, secrets: Mapping[str, str]) -> None:
        self._providers = providers
        self._images = images
        self._secrets = secrets

    def __call__(self, spec: JobSpec, offer: Offer) -> str | None:
        """Return the pinned image; None where the provider runs none. Raises `BadImage`."""
        provider = self._providers[offer.provider]
        if not provider.traits.runs_images or spec.image is None:
            return None
        pin = getattr(provider, "pin", None)  # an engine knows images that no registry has
        if pin is not None:
            try:
                digest = str(pin(spec.image))
            except Rejected as error:
                raise BadImage(str(error)) from error
            check_cuda(spec.image, cuda_named(spec.image), offer)
            return digest
        auth = self._secrets.get(spec.registry_auth) if spec.registry_auth else None
        pinned = self._images.pin(spec.image, auth=auth)
        check_cuda(spec.image, pinned.cuda, offer)
        return pinned.image


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """Everything that works without Slack."""

    db: Database
    service: Service
    rentals: Rentals
    follow: Follow
    desk: Desk
    source: SourceResolver
    providers: Mapping[str, Provider]
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the world is reached through; a test hands in its own."""

    clock: Clock
    ids: Ids


def control_plane(settings: Settings, ports: Ports, wakes: Wakes, stack: ExitStack) -> ControlPlane:
    """Build what works without Slack; whatever has to be closed is left with `stack`."""
    db = Database.open(settings.database(), mask=mask_of(os.environ))
    stack.callback(db.close)
    metrics = Metrics(db, ports.clock)
    providers: dict[str, Provider] = {
        name: CountedProvider(provider, metrics.provider) for name, provider in connected(settings, ports.clock).items()
    }
    secrets = secret_values()
    store = open_store(settings.store_uri())
    source = SourceResolver(
        git_hosts=settings.git_hosts, git_tokens=settings.git_tokens, cache_dir=settings.state / "git"
    )
    desk = Desk(providers)
    lender = _lender(settings, ports.clock)
    follow = Follow(db=db, clock=ports.clock, store=store, wake=wakes)
    rentals = Rentals(
        RentalPorts(
            db=db,
            clock=ports.clock,
            providers=providers,
            market=desk,
            packer=source,
            store=store,
            store_uri=settings.store_uri(),
            home=str(settings.home),
            secrets=secrets,
            credentials=no_credentials if set(settings.providers) == {"aws"} else lender,
            renew=lender,
            data_keys=settings.data_keys(),
            drain=follow.drain,
            wake=wakes,
        ),
        lanes=SideBySide(),
        reference=Timekeeper(settings.slack_api_url),
    )
    service = Service(
        db=db,
        clock=ports.clock,
        ids=ports.ids,
        settings=settings,
        traits={name: provider.traits for name, provider in providers.items()},
        mover=rentals.move_deadline,
        wake=wakes,
    )
    return ControlPlane(
        db=db,
        service=service,
        rentals=rentals,
        follow=follow,
        desk=desk,
        source=source,
        providers=providers,
        metrics=metrics,
    )


def _lender(settings: Settings, clock: Clock) -> Lender:
    """Return who lends machines their way to the store; the first ones of `aws` come with the boot script."""
    if not settings.store_uri().startswith("s3:"):
        return no_credentials
    from jobs.credentials import JobCredentials  # with AWS's SDK, which most starts can do without

    return JobCredentials(
        role=settings.aws_job_role, store_uri=settings.store_uri(), clock=clock, kms_key=settings.aws_kms_key or ""
    )


@dataclass(frozen=True, kw_only=True)
class Bot:
    """A running bot."""

    plane: ControlPlane
    scheduler: Scheduler
    notifier: Notifier
    site: web.WebServer


def start(settings: Settings, ports: Ports, stack: ExitStack) -> Bot:
    """Build and start everything; leaving `stack` stops it in the opposite order.

    Raises `Misconfigured` before anything is started when a setting cannot work.
    """
    secret = settings.slack_signing_secret
    if not settings.slack_app_token and not secret:
        raise Misconfigured(
            "Neither SLACK_APP_TOKEN (Socket Mode) nor SLACK_SIGNING_SECRET (signed HTTP) is set; "
            "`hourglass manifest` prints the app that has them."
        )
    wakes = Wakes()
    plane = control_plane(settings, ports, wakes, stack)
    store = open_store(settings.store_uri())
    refuse_to_forget(plane.db, store, str(settings.home))
    mask = mask_of(os.environ)
    say = Catalogue.load(settings.language)
    client = slack_client(settings, counting(plane.metrics))
    server = web.WebServer.bind(settings.web_host, settings.web_port)
    links = Links(
        store=store,
        secret=link_key(settings.state),
        base=settings.web_url or server.url,
        minutes=settings.link_minutes,
        clock=ports.clock,
        published=bool(settings.web_url),
    )
    people = People(client=client, clock=ports.clock, leads=settings.leads, lead_group=settings.lead_group, say=say)
    traits = {name: provider.traits for name, provider in plane.providers.items()}
    plotter = Plotter(cache=settings.state / "cache")
    stack.callback(plotter.close)
    notifier = Notifier(
        db=plane.db,
        clock=ports.clock,
        client=client,
        people=people,
        links=links,
        plotter=plotter,
        say=say,
        traits=traits,
        settings=settings,
        delivery=Delivery(client, mask=mask),
        market=plane.desk,
    )
    images = stack.enter_context(httpx.Client(timeout=REGISTRY_TIMEOUT))
    intake = Intake(
        db=plane.db,
        clock=ports.clock,
        source=plane.source,
        desk=plane.desk,
        merge=lambda request, task_file: merge(
            request, task_file, defaults=Defaults(image=settings.docker_image or None)
        ),
        pin=Pinner(
            providers=plane.providers,
            images=ImageResolver(images, endpoints=settings.registries),
            secrets=secret_values(),
        ),
        providers=plane.providers,
        can_post=people.can_post,
        standing=people.standing,
        wake=wakes,
    )
    scheduler = Scheduler(
        db=plane.db,
        intake=intake,
        rentals=plane.rentals,
        follow=plane.follow,
        service=plane.service,
        settings=settings,
    )
    wakes.scheduler, wakes.notifier = scheduler, notifier
    parts = Parts(
        service=plane.service,
        db=plane.db,
        clock=ports.clock,
        settings=settings,
        people=people,
        links=links,
        say=say,
        traits=traits,
        desk=plane.desk,
        commits=FewAtOnce(plane.source),
        store=store,
        wake=notifier.wake,
        mask=mask,
    )
    line = Line(ports.clock)
    app = build_app(parts, client, plane.metrics.acknowledged)
    server.start(
        web.build(
            links=links,
            health=Health(db=plane.db, clock=ports.clock, line=line),
            app=app,
            door=Door(secret=secret.get_secret_value(), clock=ports.clock)
            if secret and not settings.slack_app_token
            else None,
            scrapes=Scrapes(
                page=plane.metrics.page,
                token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
                # Whoever gave the site an address, or takes Slack over HTTP, has a proxy before it.
                published=bool(settings.web_url) or not settings.slack_app_token,
            ),
        )
    )
    stack.callback(server.stop)
    _start_thread(notifier, stack)
    scheduler.start()
    stack.callback(scheduler.stop)
    if settings.slack_app_token:
        socket = socket_handler(app, settings)
        socket.connect()  # type: ignore[no-untyped-call]  # Bolt's handler ships half its types
        stack.callback(socket.close)
        line.watch(socket.client.is_connected)
    return Bot(plane=plane, scheduler=scheduler, notifier=notifier, site=server)


def _start_thread(notifier: Notifier, stack: ExitStack) -> None:
    leaving = threading.Event()
    thread = threading.Thread(target=notifier.run, args=(leaving,), name="notify")
    thread.start()

    def stop() -> None:
        leaving.set()
        notifier.wake()
        thread.join()

    stack.callback(stop)


def serve() -> None:
    """Run the bot until SIGTERM or Ctrl-C. Machines go on: their deadlines do not need us."""
    settings = settled(load())
    leaving = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.set())
    with ExitStack() as stack:
        stack.enter_context(writing(settings))
        bot = start(settings, Ports(clock=SystemClock(), ids=RandomIds()), stack)
        # What starting made stays to the end. To look through all of it for garbage takes a tenth of a second, in which
        # nobody is acknowledged.
        gc.collect()
        gc.freeze()
        log.info("up", providers=",".join(bot.plane.providers), links=bot.site.url)
        leaving.wait()
        log.info("leaving")

"""The composition root: every part is built here, once, and handed what it needs."""

from __future__ import annotations

import gc
import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import structlog

from bot import web
from bot.app import build_app, slack_client, socket_handler
from bot.catalogue import Catalogue
from bot.commits import FewAtOnce
from bot.delivery import Delivery
from bot.door import Door
from bot.health import Health, Line
from bot.home import settled, writing
from bot.links import Links, link_key
from bot.metrics import counting
from bot.notify import Notifier
from bot.parts import Parts
from bot.people import People
from bot.pinner import Pinner
from bot.plane import ControlPlane, Ports, Wakes, control_plane
from bot.plotter import Plotter
from bot.recovery import refuse_to_forget
from bot.scrapes import Scrapes
from jobs.clock import RandomIds, SystemClock
from jobs.errors import Misconfigured
from jobs.images import ImageResolver
from jobs.intake import Intake
from jobs.scheduler import Scheduler
from jobs.settings import Settings, load, mask_of, secret_values
from jobs.spec import Defaults, merge
from trainer.storage import open_store

log = structlog.get_logger(__name__)

# A registry that has not answered by then makes the request wait for the next try, not for ever.
REGISTRY_TIMEOUT = httpx.Timeout(10.0)


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

"""The container engine, asked the few things that the provider needs: containers by name or label, images by digest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from docker.models.networks import Network

from jobs.errors import Rejected
from jobs.providers.docker_errors import translated
from jobs.providers.docker_shape import LABEL

_GONE_OR_GOING = (404, 409)  # there is none; somebody else is removing it


class Engine:
    """One engine, connected to when it is first needed: one that is down must not keep the bot from starting."""

    def __init__(self, connect: Callable[[], DockerClient]) -> None:
        self._connect = connect
        self._client: DockerClient | None = None
        self._connecting = threading.Lock()

    def _engine(self) -> DockerClient:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def container(self, name: str) -> Container | None:
        """Return the container of exactly this name or id."""
        try:
            container = self._engine().containers.get(name)
        except NotFound:
            return None
        # The engine takes the beginning of an id for a name too.
        return container if name in (container.name, container.id) else None

    def containers(self, label: str) -> Iterator[Container]:
        """Yield every container, ended ones too, with this label (`name` or `name=value`)."""
        engine = self._engine()
        for line in engine.api.containers(all=True, filters={"label": [label]}):
            try:
                yield engine.containers.get(line["Id"])
            except NotFound:
                continue  # removed since the listing

    def create(self, image: Image, asked: dict[str, Any]) -> Container | None:
        """Make a container of the SDK's arguments `asked`; return None when its name is taken."""
        try:
            return self._engine().containers.create(image, **asked)
        except APIError as error:
            if error.status_code == 409:
                return None
            raise

    def start(self, container: Container, payload: bytes) -> None:
        """Unpack the tar `payload` at `/` and start; what the engine refuses to start is removed."""
        try:
            container.put_archive("/", payload)
            container.start()
        except APIError:
            self.remove(container)  # refused, not unanswered: nothing runs, and nothing is to be left
            raise
        container.reload()

    def remove(self, container: Container) -> None:
        """Kill the container and remove it with its disk; one that is gone or going is no error."""
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code not in _GONE_OR_GOING:
                raise

    def add_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Make a bridge network of this name unless there is one."""
        if self._networks({"name": f"^{name}$"}):
            return
        try:
            self._engine().networks.create(name, driver="bridge", labels=dict(labels))
        except APIError as error:
            if error.status_code != 409:  # another hand was faster
                raise

    def remove_network(self, name: str) -> None:
        """Remove a network that `add_network` made, unless a machine is on it; no other is touched."""
        for made in self._networks({"name": f"^{name}$"}):
            _removed_unless_used(made)

    def sweep_networks(self, home: str, *, before: datetime) -> None:
        """Remove this home's networks whose deadline lies before that time and that no machine is on."""
        for made in self._networks({"label": f"{LABEL}home={home}"}):
            if int((made.attrs.get("Labels") or {}).get(f"{LABEL}deadline", 0)) < before.timestamp():
                _removed_unless_used(made)

    def _networks(self, filters: Mapping[str, str]) -> Sequence[Network]:
        found: Sequence[Network] = self._engine().networks.list(filters=dict(filters))
        return [made for made in found if f"{LABEL}home" in (made.attrs.get("Labels") or {})]

    def image(self, name: str, *, still: Callable[[], None]) -> Image:
        """Return the image, fetched where it is missing; `still` is called meanwhile, and may raise to give up."""
        engine = self._engine()
        _, _, digest = name.partition("@")
        for known in filter(None, (name, digest)):  # a digest may be the id of an image that was never pushed
            try:
                return engine.images.get(known)
            except ImageNotFound:
                continue
        with translated(f"fetching the image {name!r}"):
            for line in engine.api.pull(name, stream=True, decode=True):
                if "error" in line:
                    raise Rejected(f"The image {name!r} could not be fetched: {line['error']}.")
                still()
            return engine.images.get(name)

    def has(self, name: str) -> bool:
        """Say whether the engine has the image itself; its registry is not asked."""
        try:
            self._engine().images.get(name)
        except ImageNotFound:
            return False
        return True

    def pin(self, name: str) -> str:
        """Return `name` by digest, asking its registry where it is not here; by id where no registry has it."""
        engine = self._engine()
        try:
            local = engine.images.get(name)
        except ImageNotFound:
            return f"{repository(name)}@{engine.images.get_registry_data(name).id}"
        digests: Sequence[str] = local.attrs.get("RepoDigests") or ()
        if name in digests:
            return name
        named = (digest for digest in digests if digest.partition("@")[0] == repository(name))
        return next(named, str(local.id))


def _removed_unless_used(made: Network) -> None:
    try:
        made.remove()
    except APIError as error:
        if error.status_code not in (*_GONE_OR_GOING, 403):  # 403: machines are on it
            raise


def repository(image: str) -> str:
    """Return the image's name without tag and digest."""
    # A colon after the last slash is a tag; before it, a port.
    head, slash, tail = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"

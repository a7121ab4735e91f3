"""A container image's tag -> the digest that will run, and the CUDA that it asks of the driver.

A tag moves; what a lead approved must not. So a tag is pinned to its digest through the registry's HTTP API
(version 2, with its token flow) before the job is priced, and the image's own demand (`NVIDIA_REQUIRE_CUDA`, else
the version in its tag) is held against what the offered machine's driver runs. An image that only one Docker
engine has is pinned by that provider, not here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from jobs.errors import BadImage
from jobs.image_names import DEFAULT_REGISTRY, Reference, cuda_of_tag, parse_reference
from jobs.providers import Offer

LARGEST_ANSWER: Final = 4 << 20  # bytes; manifests and configurations are kilobytes
# The registry whose API has another name than its images.
_ENDPOINTS: Final[Mapping[str, str]] = MappingProxyType({DEFAULT_REGISTRY: "https://registry-1.docker.io"})
_NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
_INDEXES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_REQUIRED = re.compile(r"\bcuda\s*>=\s*(\d+\.\d+)")
_OURS: Final = {"os": "linux", "architecture": "amd64"}  # what is rented


@dataclass(frozen=True, kw_only=True)
class PinnedImage:
    """What exactly will run."""

    image: str  # "registry/repository@sha256:…"
    digest: str
    cuda: str | None  # the least CUDA that the driver must run, where the image says


class ImageResolver:
    """Asks registries. Raises `BadImage` and nothing else; its messages hold no credentials."""

    def __init__(self, client: httpx.Client, *, endpoints: Mapping[str, str] = _NO_NAMES) -> None:
        """Ask through `client`, which brings the time-outs; `endpoints` maps a registry to its API or a mirror's."""
        self._client = client
        self._endpoints = {**_ENDPOINTS, **endpoints}

    def pin(self, image: str, *, auth: str | None = None) -> PinnedImage:
        """Return the digest that `image` means now, and the CUDA that it needs; `auth` is `user:password`."""
        reference = parse_reference(image)
        session = _Session(self._client, self._endpoint(reference), reference, auth)
        body, kind, digest = session.manifest(reference.digest or reference.tag or "latest")
        if kind in _INDEXES:
            body, kind, _ = session.manifest(_ours(body, reference))
        configuration = body.get("config")
        where = configuration.get("digest") if isinstance(configuration, dict) else None
        cuda = _required(session.blob(str(where))) if where else None
        return PinnedImage(image=f"{reference.name}@{digest}", digest=digest, cuda=cuda or cuda_of_tag(reference))

    def _endpoint(self, reference: Reference) -> str:
        return self._endpoints.get(reference.registry, f"https://{reference.registry}").rstrip("/")


def check_cuda(image: str, required: str | None, offer: Offer) -> None:
    """Raise `BadImage` if the offered machine's driver is known to be too old for the image."""
    if required is None or offer.cuda is None or _version(required) <= _version(offer.cuda):
        return
    raise BadImage(
        f"`{image}` needs CUDA {required}, and the driver of {offer.name} at {offer.provider} runs CUDA {offer.cuda} "
        f"at most. Take an image for CUDA {offer.cuda} or older (`cuda{offer.cuda}` in its tag), or another provider."
    )


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What a registry said."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Mapping[str, Any]:
        """Return the body as a table; an empty one where it is something else."""
        try:
            body = json.loads(self.content)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


class _Session:
    """One image's conversation with its registry; keeps the token that it was given."""

    def __init__(self, client: httpx.Client, endpoint: str, reference: Reference, auth: str | None) -> None:
        self._client = client
        self._endpoint = endpoint
        self._reference = reference
        self._basic = None if auth is None else "Basic " + base64.b64encode(auth.encode()).decode()
        self._authorization: str | None = None

    def manifest(self, name: str) -> tuple[Mapping[str, Any], str, str]:
        """Return the manifest of a tag or digest, its media type, and its digest, taken from its own bytes."""
        answer = self._get(f"manifests/{name}", accept=", ".join((*_INDEXES, *_MANIFESTS)))
        digest = _digest(answer)
        if name.startswith("sha256:") and digest != name:
            raise BadImage(f"The registry answered with another image than `{self._reference}`. Ask its operator.")
        body = answer.json()
        kind = str(body.get("mediaType") or answer.headers.get("content-type", "")).partition(";")[0].strip()
        if kind not in (*_INDEXES, *_MANIFESTS):
            raise BadImage(
                f"`{self._reference}` is not an image that can be run (its type is `{kind[:80]}`). Name another."
            )
        return body, kind, digest

    def blob(self, digest: str) -> Mapping[str, Any]:
        """Return the image's configuration."""
        answer = self._get(f"blobs/{digest}", accept="*/*")
        if _digest(answer) != digest:
            raise BadImage(f"The registry answered with another image than `{self._reference}`. Ask its operator.")
        return answer.json()

    def _get(self, path: str, *, accept: str) -> _Answer:
        url = f"{self._endpoint}/v2/{self._reference.repository}/{path}"
        answer = self._ask(url, accept)
        if answer.status == httpx.codes.UNAUTHORIZED and self._authorization is None:
            self._authorization = self._login(answer.headers.get("www-authenticate", ""))
            answer = self._ask(url, accept)
        if answer.status != httpx.codes.OK:
            raise self._refusal(answer)
        return answer

    def _ask(self, url: str, accept: str) -> _Answer:
        authorization = {} if self._authorization is None else {"authorization": self._authorization}
        return self._send(url, {"accept": accept, **authorization}, {})

    def _login(self, challenge: str) -> str:
        """Return the authorization that `challenge` asks for; raises `BadImage` where there is none to give."""
        scheme, _, rest = challenge.partition(" ")
        facts = dict(_CHALLENGE.findall(rest))
        if scheme.lower() == "basic" and self._basic is not None:
            return self._basic
        realm = facts.get("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in ("https", urlsplit(self._endpoint).scheme):
            raise self._closed()
        asked = {"scope": facts.get("scope", f"repository:{self._reference.repository}:pull")}
        if "service" in facts:
            asked["service"] = facts["service"]
        answer = self._send(realm, {} if self._basic is None else {"authorization": self._basic}, asked)
        body = answer.json()
        token = body.get("token") or body.get("access_token")
        if answer.status != httpx.codes.OK or not isinstance(token, str):
            raise self._closed() if answer.status < httpx.codes.INTERNAL_SERVER_ERROR else self._silent(realm)
        return f"Bearer {token}"

    def _send(self, url: str, headers: Mapping[str, str], params: Mapping[str, str]) -> _Answer:
        # Blobs lie on another host as a rule; the client leaves the authorization behind on the way there.
        try:
            with self._client.stream("GET", url, headers=headers, params=params, follow_redirects=True) as answer:
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > LARGEST_ANSWER:
                        raise BadImage(
                            f"The description of `{self._reference}` is larger than any image's. Name another."
                        )
                return _Answer(status=answer.status_code, headers=answer.headers, content=content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(url) from error

    def _refusal(self, answer: _Answer) -> BadImage:
        if answer.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return self._closed()
        if answer.status == httpx.codes.NOT_FOUND:
            problems = answer.json().get("errors") or [{}]
            missing = "image" if "NAME" in str(problems[0]) else "tag"
            return BadImage(f"There is no {missing} `{self._reference}`. Check its name and tag at the registry.")
        if answer.status == httpx.codes.TOO_MANY_REQUESTS:
            return BadImage(
                f"{self._reference.registry} takes no more questions for now. Send the same line again in some "
                "minutes, or name `registry_auth` in `.hourglass.yml`: registries allow more to those they know."
            )
        return self._silent(self._endpoint)

    def _closed(self) -> BadImage:
        if self._basic is not None:
            return BadImage(
                f"{self._reference.registry} refused the credentials of `registry_auth` for `{self._reference}`. Ask "
                "the operator to renew that secret; it holds `user:password`."
            )
        return BadImage(
            f"`{self._reference}` does not exist, or is private. Check the name, or name the secret that opens it as "
            "`registry_auth:` in `.hourglass.yml`."
        )

    def _silent(self, url: str) -> BadImage:
        return BadImage(
            f"The registry at {urlsplit(url).hostname} did not answer, so `{self._reference}` could not be looked up. "
            "Nothing was rented: send the same line again in a few minutes."
        )


def _digest(answer: _Answer) -> str:
    return "sha256:" + hashlib.sha256(answer.content).hexdigest()


def _ours(index: Mapping[str, Any], reference: Reference) -> str:
    """Return the digest of the image for the machines that are rented."""
    entries = index.get("manifests")
    for entry in entries if isinstance(entries, list) else []:
        platform = entry.get("platform") or {}
        if all(platform.get(key) == value for key, value in _OURS.items()):
            return str(entry.get("digest", ""))
    raise BadImage(f"`{reference}` is not built for linux/amd64, which the rented machines are. Name another image.")


def _required(configuration: Mapping[str, Any]) -> str | None:
    """Return the least CUDA that an image's configuration names."""
    settings = configuration.get("config") or {}
    for line in settings.get("Env") or []:
        name, _, value = str(line).partition("=")
        match = _REQUIRED.search(value) if name == "NVIDIA_REQUIRE_CUDA" else None
        if match:
            return match[1]
    return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])

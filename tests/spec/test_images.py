"""A registry's answers, played by a transport: what is pinned, what is asked of the driver, what people are told."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import httpx
import pytest

from jobs.errors import BadImage
from jobs.image_names import cuda_of_tag, mirrored, parse_reference
from jobs.images import LARGEST_ANSWER, ImageResolver, check_cuda
from tests.support.builders import an_offer

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass(kw_only=True)
class Registry:
    """A registry with one image; asks for a token where it has a `user`, and writes down what it was asked."""

    env: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ("arm64", "amd64")
    user: str | None = None
    open_to_all: bool = True
    asked: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.config = json.dumps({"config": {"Env": list(self.env)}}).encode()
        self.manifest = json.dumps({"mediaType": MANIFEST, "config": {"digest": sha(self.config)}}).encode()
        entries = [
            {"digest": sha(self.manifest), "platform": {"os": "linux", "architecture": architecture}}
            for architecture in self.architectures
        ]
        self.index = json.dumps({"mediaType": INDEX, "manifests": entries}).encode()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path
        if request.url.host == "auth.example":
            return self._token(request)
        if request.url.host == "cdn.example":
            return httpx.Response(200, content=self.config)
        if self.user is not None and request.headers.get("authorization") != "Bearer opaque":
            challenge = 'Bearer realm="https://auth.example/token",service="reg",scope="repository:acme/vit:pull"'
            return httpx.Response(401, headers={"www-authenticate": challenge})
        if path.endswith(("/manifests/2.13.0-cuda12.8", f"/manifests/{sha(self.index)}")):
            return httpx.Response(200, content=self.index, headers={"content-type": INDEX})
        if path.endswith(f"/manifests/{sha(self.manifest)}"):
            return httpx.Response(200, content=self.manifest, headers={"content-type": MANIFEST})
        if path.endswith(f"/blobs/{sha(self.config)}"):
            return httpx.Response(307, headers={"location": "https://cdn.example/blob"})
        code = "MANIFEST_UNKNOWN" if path.startswith("/v2/acme/vit/") else "NAME_UNKNOWN"
        return httpx.Response(404, json={"errors": [{"code": code}]})

    def _token(self, request: httpx.Request) -> httpx.Response:
        expected = "Basic " + base64.b64encode(str(self.user).encode()).decode()
        if self.open_to_all or request.headers.get("authorization") == expected:
            return httpx.Response(200, json={"token": "opaque"})
        return httpx.Response(401, json={"errors": []})


def resolver(
    answer: Callable[[httpx.Request], httpx.Response], endpoints: Mapping[str, str] | None = None
) -> ImageResolver:
    return ImageResolver(httpx.Client(transport=httpx.MockTransport(answer)), endpoints=endpoints or {})


IMAGE = "registry.example/acme/vit:2.13.0-cuda12.8"


def refusal(answer: Callable[[httpx.Request], httpx.Response], image: str = IMAGE, auth: str | None = None) -> str:
    with pytest.raises(BadImage) as caught:
        resolver(answer).pin(image, auth=auth)
    return str(caught.value)


# ---------------------------------------------------------------- pinning


def test_a_tag_is_pinned_to_the_digest_of_what_the_registry_answered() -> None:
    registry = Registry()

    pinned = resolver(registry).pin(IMAGE)

    assert pinned.image == f"registry.example/acme/vit@{sha(registry.index)}"
    assert pinned.digest == sha(registry.index)
    assert INDEX in registry.asked[0].headers["accept"]


def test_a_digest_stays_what_it_is_and_is_checked() -> None:
    registry = Registry()
    digest = sha(registry.index)

    assert resolver(registry).pin(f"registry.example/acme/vit@{digest}").digest == digest

    registry.index += b" "
    forged = lambda request: httpx.Response(200, content=registry.index, headers={"content-type": INDEX})  # noqa: E731  a registry in one line
    assert "another image" in refusal(forged, f"registry.example/acme/vit@{digest}")


def test_the_token_is_asked_for_with_the_secret_and_stays_with_its_host() -> None:
    registry = Registry(user="ada:s3cret", open_to_all=False)

    resolver(registry).pin(IMAGE, auth="ada:s3cret")

    asked = next(request for request in registry.asked if request.url.host == "auth.example")
    assert dict(asked.url.params) == {"service": "reg", "scope": "repository:acme/vit:pull"}
    at_the_cdn = next(request for request in registry.asked if request.url.host == "cdn.example")
    assert "authorization" not in at_the_cdn.headers


def test_a_public_image_needs_a_token_but_no_secret() -> None:
    assert resolver(Registry(user="somebody")).pin(IMAGE).digest.startswith("sha256:")


def test_short_names_go_where_engines_take_them_from_and_mirrors_can_stand_in() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(404, json={"errors": [{"code": "MANIFEST_UNKNOWN"}]})

    for endpoints in ({}, {"docker.io": "http://mirror.internal:5000/"}):
        with pytest.raises(BadImage):
            resolver(answer, endpoints).pin("python:3.12")

    assert asked[0].endswith("/v2/library/python/manifests/3.12")
    assert asked[1] == "http://mirror.internal:5000/v2/library/python/manifests/3.12"


# ---------------------------------------------------------------- what people are told


def test_an_unknown_tag_and_an_unknown_image_are_told_apart() -> None:
    assert "There is no tag `registry.example/acme/vit:3.0`" in refusal(Registry(), "registry.example/acme/vit:3.0")
    assert "There is no image `registry.example/acme/vlt:1`" in refusal(Registry(), "registry.example/acme/vlt:1")


def test_a_private_image_says_how_its_secret_is_named() -> None:
    said = refusal(Registry(user="ada:s3cret", open_to_all=False))

    assert "does not exist, or is private" in said
    assert "`registry_auth:`" in said


def test_a_secret_that_is_refused_is_not_shown() -> None:
    said = refusal(Registry(user="ada:s3cret", open_to_all=False), auth="ada:wr0ng")

    assert "refused the credentials of `registry_auth`" in said
    assert "wr0ng" not in said


def test_a_registry_that_is_down_or_busy_is_not_an_unknown_image() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert "registry.example did not answer" in refusal(down)
    assert "registry.example did not answer" in refusal(lambda request: httpx.Response(503))
    assert "takes no more questions" in refusal(lambda request: httpx.Response(429))


def test_secrets_are_not_sent_in_the_clear_to_a_realm_that_asks_for_them() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(401, headers={"www-authenticate": 'Bearer realm="http://evil.example/token"'})

    refusal(answer, auth="ada:s3cret")

    assert asked == ["registry.example"]


def test_an_endless_answer_is_given_up() -> None:
    assert "is larger than any image's" in refusal(
        lambda request: httpx.Response(200, content=b" " * (LARGEST_ANSWER + 1))
    )


def test_what_is_no_image_and_what_is_for_other_processors_is_refused() -> None:
    page = httpx.Response(200, html="<p>hello</p>")

    assert "is not an image that can be run" in refusal(lambda request: page)
    assert "not built for linux/amd64" in refusal(Registry(architectures=("arm64",)))


# ---------------------------------------------------------------- CUDA


def test_the_images_own_demand_counts_before_its_tag() -> None:
    demanding = Registry(env=("PATH=/usr/bin", "NVIDIA_REQUIRE_CUDA=cuda>=13.0 brand=tesla,driver>=535"))

    assert resolver(demanding).pin(IMAGE).cuda == "13.0"
    assert resolver(Registry()).pin(IMAGE).cuda == "12.8"


@pytest.mark.parametrize(
    ("tag", "cuda"),
    [
        ("2.13.0-cuda12.8-cudnn9-runtime", "12.8"),
        ("12.8.1-cudnn-devel-ubuntu22.04", None),
        ("v1-cu130", "13.0"),
        ("cuda-12.4", "12.4"),
        ("latest", None),
        ("cucumber12", None),
    ],
)
def test_tags_speak_of_cuda_in_a_few_ways(tag: str, cuda: str | None) -> None:
    assert cuda_of_tag(parse_reference(f"acme/vit:{tag}")) == cuda


def test_an_image_that_needs_a_newer_driver_is_refused_with_what_to_change() -> None:
    offer = replace(an_offer(), cuda="12.8")

    with pytest.raises(BadImage, match=r"needs CUDA 13\.0.*runs CUDA 12\.8 at most.*`cuda12\.8`"):
        check_cuda(IMAGE, "13.0", offer)
    check_cuda(IMAGE, "12.8", offer)
    check_cuda(IMAGE, "9.2", offer)
    check_cuda(IMAGE, None, offer)
    check_cuda(IMAGE, "13.0", replace(offer, cuda=None))


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("typed", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12", "docker.io/library/python:3.12"),
        ("pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime", "docker.io/pytorch/pytorch:2.13.0-cuda12.8-cudnn9-runtime"),
        ("ghcr.io/acme/vit:1", "ghcr.io/acme/vit:1"),
        ("localhost:5000/vit", "localhost:5000/vit:latest"),
        (f"acme/vit:1@sha256:{'a' * 64}", f"docker.io/acme/vit@sha256:{'a' * 64}"),
    ],
)
def test_names_are_read_as_engines_read_them(typed: str, full: str) -> None:
    assert str(parse_reference(typed)) == full


@pytest.mark.parametrize(
    "typed",
    ["", "Acme/Vit", "acme/vit:", "acme vit", "-x", "acme/vit;id", "acme/vit@sha256:12", "a" * 500, "$(id)", "../x"],
)
def test_what_is_no_image_name_is_quoted(typed: str) -> None:
    with pytest.raises(BadImage, match="is not the name of an image"):
        parse_reference(typed)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (f"python@sha256:{'ab' * 32}", f"near.example/hub/library/python@sha256:{'ab' * 32}"),
        (f"docker.io/acme/vit:1@sha256:{'ab' * 32}", f"near.example/hub/acme/vit@sha256:{'ab' * 32}"),
        ("python:3.12", ""),  # nothing would say that the copy is the same
        (f"ghcr.io/acme/vit@sha256:{'ab' * 32}", ""),
        ("Not/An:Image:Name", ""),
    ],
)
def test_a_pinned_image_has_a_name_at_its_registrys_mirror(image: str, expected: str) -> None:
    assert mirrored(image, {"docker.io": "near.example/hub/"}) == expected

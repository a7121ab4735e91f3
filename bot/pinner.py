"""Images pinned to their digests, by whoever knows them: the engine that will run one, or its registry."""

from __future__ import annotations

from collections.abc import Mapping

from jobs.errors import BadImage, Rejected
from jobs.image_names import cuda_named
from jobs.images import ImageResolver, check_cuda
from jobs.providers import Offer, Provider
from jobs.values import JobSpec


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

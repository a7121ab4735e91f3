"""What the Docker SDK and the connection below it raise, as our errors; the one place where both are known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from docker.errors import APIError, DockerException
from urllib3.exceptions import HTTPError

from jobs.errors import NoCapacity, ProviderError, QuotaExceeded, Rejected, Scope, Throttled, Unauthorized, Unknown

_NO_GPU_RUNTIME = ("could not select device driver", "nvidia-container-cli", "unknown or invalid runtime")
_OLD_DRIVER = "unsatisfied condition: cuda"
_NO_PROGRAM = ("executable file not found", "no such file or directory")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Let only our errors out; `doing` completes "The engine did not answer while …"."""
    try:
        yield
    except ProviderError:
        raise
    except APIError as error:
        raise _told(error, doing) from error
    # requests' errors are OSErrors; ValueError is an answer cut in the middle of its JSON.
    except (DockerException, HTTPError, OSError, ValueError) as error:
        raise Unknown(f"The container engine did not answer while {doing}: {_short(error)}.") from error


def _told(error: APIError, doing: str) -> ProviderError:
    status = error.status_code or 0
    whole = str(error.explanation or error)
    lower = whole.lower()
    if _OLD_DRIVER in lower:  # the runtime says so in the middle of a long complaint
        asked = _short(whole[lower.index(_OLD_DRIVER) + len("unsatisfied condition: ") :].partition(",")[0])
        return Rejected(
            f"The image needs a newer driver than the engine's machine has ({asked}). Take an image for an older CUDA, "
            "or update the driver there."
        )
    words = _short(whole)
    said = f"The container engine refused {doing}: {words}."
    if any(sign in lower for sign in _NO_GPU_RUNTIME):
        return Rejected(f"{said} It cannot hand out GPUs: install the NVIDIA container toolkit there.")
    if "python3" in lower and any(sign in lower for sign in _NO_PROGRAM):
        return Rejected(f"{said} The image needs a python3 of 3.10 or newer.")
    if "no space left" in lower:
        return NoCapacity(f"{said} Free some disk on the engine's machine.", scope=Scope.REGION)
    if "address pools have been fully subnetted" in lower:
        return NoCapacity(
            f"{said} Each attempt of several machines takes a network; raise `default-address-pools` there."
        )
    if "toomanyrequests" in lower or status == 429:
        return Throttled(said)
    if status in (401, 403) or "unauthorized" in lower or "denied" in lower:
        return Unauthorized(f"{said} Log the engine in to that registry, or correct the image's name.")
    if "quota" in lower:
        return QuotaExceeded(said)
    return Rejected(said) if 400 <= status < 500 else Unknown(said)


def _short(error: object) -> str:
    """Return the first line of what was said: an SDK's message may carry a whole request."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")

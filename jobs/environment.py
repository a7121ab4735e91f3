"""Which names a team may set in its command's environment.

Values from a task file or a command line never decide what is loaded, where programs are found, or with whose
credentials the machine reaches its files: those names belong to the machine.
"""

from __future__ import annotations

import re
from typing import Final

from jobs.errors import BadSpec

LONGEST_VALUE: Final = 4096  # characters; some providers take less, and then say so
MOST_NAMES: Final = 100

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OURS = ("HOURGLASS_", "LD_", "DYLD_", "GIT_", "BASH_FUNC")
_MACHINES = frozenset(
    {"PATH", "HOME", "TMPDIR", "SHELL", "IFS", "ENV", "BASH_ENV", "PYTHONHOME", "PYTHONSTARTUP"}
    | {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
    | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_PROFILE"}
)


def check_name(name: str) -> str:
    """Return `name` if a team may set it; raises `BadSpec` that says why not."""
    if not _NAME.fullmatch(name):
        raise BadSpec(f"`{name}` is not a name for an environment variable: letters, digits and `_`, like `LR`.")
    if name.upper() in _MACHINES or name.upper().startswith(_OURS):
        raise BadSpec(f"`{name}` belongs to the machine and cannot be set here. Choose another name.")
    return name


def check_value(name: str, value: str) -> str:
    """Return `value` if it can be carried to a machine; raises `BadSpec`."""
    if len(value) > LONGEST_VALUE:
        raise BadSpec(f"`{name}` has {len(value)} characters; {LONGEST_VALUE} are carried. Put it into a file.")
    if "\0" in value:
        raise BadSpec(f"`{name}` holds a NUL character, which no environment can carry.")
    return value

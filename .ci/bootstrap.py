"""Make `.venv` with Hourglass in it: `python3 .ci/bootstrap.py [EXTRA ...]`, extras from pyproject.toml.

Runs on whatever `python3` is, so that an old one gets a sentence and not a traceback: nothing newer than
Python 3.6 in this file. It installs again only when pyproject.toml has changed.
"""

import hashlib
import importlib.util
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
TORCH = "2.13.0"
# The CPU build is 190 MB; the ordinary Linux build brings CUDA along.
TORCH_INDEX = os.environ.get("HOURGLASS_TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
TORCH_TIMEOUT = os.environ.get("HOURGLASS_TORCH_TIMEOUT", "10")


def stop(sentence):
    """Leave with one line that says what to do."""
    sys.exit("hourglass: " + sentence)


def check_python(version, has_module):
    """Refuse a Python that is too old or that cannot make virtual environments.

    `version` is `sys.version_info`, `has_module` says whether a module can be imported.
    """
    shown = "%d.%d" % tuple(version[:2])
    if tuple(version[:2]) < OLDEST:
        stop("this is Python %s and Hourglass needs 3.11 or newer. Name one: make PYTHON=python3.12 demo" % shown)
    if not (has_module("venv") and has_module("ensurepip")):
        stop(
            "this Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python%s-venv" % shown
        )


def pip(*arguments, **options):
    """Run the environment's pip; return whether it worked."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq"]
    return subprocess.run(command + list(arguments), **options).returncode == 0


def install_torch():
    """Install the CPU build from what pip is configured with, else from PyTorch's index, else the ordinary one."""
    probe = [
        str(VENV / "bin" / "python"),
        "-c",
        "import torch,sys; sys.exit(torch.__version__.split('+')[0] != %r)" % TORCH,
    ]
    if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode == 0:
        return
    quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    print("hourglass: installing torch %s for the CPU" % TORCH, flush=True)
    if sys.platform.startswith("linux"):
        if pip("install", "torch==%s+cpu" % TORCH, **quiet):
            return
        mirror = ["--index-url", TORCH_INDEX, "--timeout", TORCH_TIMEOUT, "--retries", "0"]
        if pip("install", "torch==%s+cpu" % TORCH, *mirror, **quiet):
            return
        print("hourglass: no CPU build within reach; the ordinary build follows, about 3 GB with CUDA", flush=True)
    if not pip("install", "torch==%s" % TORCH):
        stop("torch %s cannot be installed here; set HOURGLASS_TORCH_INDEX to an index that has it" % TORCH)


def main(extras):
    """Make the environment and install what is missing."""
    check_python(sys.version_info, lambda name: importlib.util.find_spec(name) is not None)
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + repr(extras).encode()).hexdigest()
    stamp = VENV / (".hourglass-" + "-".join(extras or ["plain"]))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    if not (VENV / "bin" / "python").exists():
        print("hourglass: making .venv", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)]).returncode:
            stop("could not make %s; remove it and try again" % VENV)
    if "torch" in extras:
        install_torch()
    print("hourglass: installing what pyproject.toml names", flush=True)
    target = str(ROOT) + ("[%s]" % ",".join(extras) if extras else "")
    if not pip("install", "-e", target):
        stop("the installation failed; pip's words are above")
    stamp.write_text(wanted)


if __name__ == "__main__":
    main(sys.argv[1:])

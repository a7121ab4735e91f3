#!/usr/bin/env bash
# A real container engine, a registry, and the two images that the engine's tests run in.
#
#   hourglass-test/python:bookworm   Debian with python3, git, CA certificates (about 350 MB)
#   hourglass-test/torch:cpu         the same with PyTorch's CPU build and numpy (about 1.3 GB)
#
# Run as root on Debian or Ubuntu; a second run does only what is missing. Packages come from what apt and pip are
# configured with, and everything large is kept in .cache/engine (CACHE), so that the next run is quick.
set -euo pipefail

ROOT="$(cd "$(dirname "$0")/.." && pwd)"
CACHE="${CACHE:-$ROOT/.cache/engine}"
# A bare machine's own python3 may have no pip; the project's has.
PYTHON="${PYTHON:-$([ -x "$ROOT/.venv/bin/python" ] && echo "$ROOT/.venv/bin/python" || echo python3)}"
SUITE=bookworm
SUITE_PYTHON=3.11 # what that suite's python3 is; the wheels must fit it, whatever Python runs here
TORCH="torch==2.13.0"
BASE_IMAGE="hourglass-test/python:${SUITE}"
TORCH_IMAGE="hourglass-test/torch:cpu"

say() { printf 'engine: %s\n' "$*" >&2; }

install_packages() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v debootstrap >/dev/null || missing+=(debootstrap debian-archive-keyring)
    command -v docker-registry >/dev/null || missing+=(docker-registry)
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" iptables >/dev/null
    # The tests start a registry of their own when they want one; the package's would serve everybody on port 5000.
    if [[ " ${missing[*]} " == *" docker-registry "* ]] && [ -d /run/systemd/system ]; then
        systemctl disable --now --quiet docker-registry
    fi
    # Newer releases ship the command line apart from the engine.
    command -v docker >/dev/null || apt-get install -y -qq --no-install-recommends docker-cli >/dev/null
}

start_engine() {
    docker info >/dev/null 2>&1 && return
    say "starting dockerd; its log is /var/log/dockerd.log"
    # A pid file that a machine's restart left behind keeps dockerd from starting.
    if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then rm -f /var/run/docker.pid; fi
    setsid nohup dockerd >/var/log/dockerd.log 2>&1 </dev/null &
    for _ in $(seq 1 60); do
        docker info >/dev/null 2>&1 && return
        sleep 1
    done
    say "dockerd did not answer within 60 s:"
    tail -n 20 /var/log/dockerd.log >&2
    exit 1
}

mirror() {
    # The archive that apt itself uses here, so that a machine behind a mirror needs no second setting.
    # shellcheck disable=SC2016  # apt expands it
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Codename: ${SUITE}" 2>/dev/null | head -n 1
}

build_base() {
    docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 && return
    if [ ! -f "$CACHE/base.tar" ]; then
        say "making $BASE_IMAGE with debootstrap (about 80 s)"
        local root
        root="$(mktemp -d)"
        # shellcheck disable=SC2046  # no mirror known means no argument: debootstrap's own default
        debootstrap --variant=minbase --include=python3,python-is-python3,ca-certificates,git \
            "$SUITE" "$root" $(mirror) >"$CACHE/debootstrap.log" 2>&1 || { tail -n 20 "$CACHE/debootstrap.log" >&2; exit 1; }
        rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
        tar -C "$root" -c . >"$CACHE/base.tar.part"
        mv "$CACHE/base.tar.part" "$CACHE/base.tar"
        rm -rf "$root"
    fi
    docker import --change 'ENV LANG=C.UTF-8' --change 'CMD ["/bin/bash"]' "$CACHE/base.tar" "$BASE_IMAGE" >/dev/null
}

fetch_torch() {
    [ -f "$CACHE/site/.whole" ] && return
    say "fetching $TORCH for Python $SUITE_PYTHON from what pip is configured with"
    rm -rf "$CACHE/site"
    local pip=("$PYTHON" -m pip install --quiet --no-compile --target "$CACHE/site" --only-binary=:all:
        --python-version "$SUITE_PYTHON" --implementation cp --platform manylinux_2_28_x86_64
        --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64)
    if ! "${pip[@]}" "${TORCH}+cpu" 'numpy>=2' 2>"$CACHE/pip.log"; then
        say "no CPU build of $TORCH there; taking the ordinary one (gigabytes)"
        rm -rf "$CACHE/site"
        "${pip[@]}" "$TORCH" 'numpy>=2'
    fi
    touch "$CACHE/site/.whole"
}

build_torch() {
    docker image inspect "$TORCH_IMAGE" >/dev/null 2>&1 && return
    fetch_torch
    say "making $TORCH_IMAGE"
    local container packages="/usr/local/lib/python${SUITE_PYTHON}/dist-packages"
    # Compiled here: jobs run as nobody, who could not keep what each import of torch would compile anew for ten seconds.
    container="$(docker create --network none "$BASE_IMAGE" python3 -m compileall -q -j 0 "$packages")"
    docker cp "$CACHE/site/." "$container:$packages/"
    docker start --attach "$container" >/dev/null || true # some packages carry files of another Python for their tests
    docker commit --change 'CMD ["/bin/bash"]' "$container" "$TORCH_IMAGE" >/dev/null
    docker rm "$container" >/dev/null
    docker run --rm --network none "$TORCH_IMAGE" python3 -c 'import numpy, torch; print("engine: torch", torch.__version__)' >&2
}

mkdir -p "$CACHE"
install_packages
start_engine
build_base
build_torch
say "ready: $BASE_IMAGE, $TORCH_IMAGE"

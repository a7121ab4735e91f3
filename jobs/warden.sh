# The warden: what a rented machine does for itself. Above this line stand the machine's own values (jobs/boot.py).
#
# It is started three ways. Without a word, by whatever runs the user data: the timers are set and the two parts
# below are started. `guard` powers the machine off at its deadline and does nothing else. `work` runs the team's
# container and powers the machine off when it ends, whatever the reason. No part needs the bot or each other.
set -u
umask 077
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
readonly DIR=/var/lib/hourglass
readonly LOG=$DIR/boot.log
# These come with the bundle, which is fetched: user data can be read for as long as the machine stands.
TRAINER_URL='' OUTCOME_URL='' SPOKEN_URL='' DISCARD_URL='' ENV_BASE64='' BOOT_URLS=()
SHIPPER=''

say() { printf '%(%FT%TZ)T %s\n' -1 "$*"; }

uptime_seconds() {
    local up _
    read -r up _ </proc/uptime
    echo "${up%.*}"
}

seconds_left() {
    local left
    left=$((DEADLINE - $(printf '%(%s)T' -1)))
    # A clock that is not set yet lies in the past and would give the machine years: never more than was rented.
    ((left > LIFETIME)) && left=$LIFETIME
    ((left < 0)) && left=0
    echo "$left"
}

power_off() {
    sync
    systemctl poweroff || shutdown -P now || poweroff -f || echo o >/proc/sysrq-trigger
}

restarted() { [[ $(<"$DIR/boot_id") != "$(</proc/sys/kernel/random/boot_id)" ]]; }

# The system's own timer; asked for again, it forgets what it was told before.
set_timer() { shutdown -P "+$((($1 + 59) / 60))" || say "There is no shutdown timer here."; }

# The machine's tag `deadline`, as EC2's metadata has it.
tagged_deadline() {
    NOTICE=$NOTICE python3 - 2>/dev/null <<'PYTHON'
import os, urllib.request
kind, _, address = os.environ["NOTICE"].partition("=")
here = (address or "http://169.254.169.254") + "/latest/"
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
header = "X-aws-ec2-metadata-token"
token = ask(urllib.request.Request(here + "api/token", method="PUT", headers={header + "-ttl-seconds": "60"}), timeout=5)
tag = urllib.request.Request(here + "meta-data/tags/instance/deadline", headers={header: token.read().decode()})
print(ask(tag, timeout=5).read(20).decode())
PYTHON
}

# A rental that was made longer is told by its tag. What cannot be read, or is no time, changes nothing.
follow_deadline() {
    local at ends told left
    [[ $NOTICE == aws* ]] || return
    while sleep 10; do
        read -r at ends <"$DIR/ends"
        told=$(tagged_deadline) || continue
        [[ $told =~ ^[1-9][0-9]{0,10}$ && $told != "$at" ]] || continue
        # By the difference, so that a clock that is wrong gives the machine no more than was added.
        ends=$((ends + told - at))
        echo "$told $ends" >"$DIR/ends.new" && mv "$DIR/ends.new" "$DIR/ends"
        left=$((ends - $(uptime_seconds)))
        say "The deadline is another one: $left seconds from now."
        set_timer "$((left > 0 ? left : 0))"
    done
}

guard() {
    local at ends
    follow_deadline &
    # Whichever of the two clocks comes first: one cannot be set, the other goes on while the machine is frozen.
    # After a restart the job is lost and the first clock began anew, so there is nothing to wait for.
    while ! restarted; do
        read -r at ends <"$DIR/ends"
        (($(uptime_seconds) < ends && $(printf '%(%s)T' -1) < at)) || break
        sleep 1
    done
    say "The deadline has come."
    while :; do
        power_off
        sleep 5
    done
}

# http METHOD URL [FILE]: 0 when done, 4 when there is no such object, 1 otherwise. Python is there wherever
# cloud-init is; curl is not. The URL is a key, so it is neither an argument nor printed.
http() {
    METHOD=$1 URL=$2 FILE=${3:-} python3 - <<'PYTHON'
import os, shutil, sys, time, urllib.error, urllib.request
method, url, file = os.environ["METHOD"], os.environ["URL"], os.environ["FILE"]
for wait in (1, 3, 6, None):
    try:
        body = open(file, "rb").read() if method == "PUT" else None
        request = urllib.request.Request(url, data=body, method=method)
        if body is not None:
            request.add_header("Content-Type", "text/plain; charset=utf-8")
        with urllib.request.urlopen(request, timeout=15) as answer:
            if method == "GET":
                with open(file, "wb") as out:
                    shutil.copyfileobj(answer, out)
        sys.exit(0)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            sys.exit(4)
        problem = f"HTTP {error.code}"
        if error.code < 500 and error.code not in (408, 429):
            wait = None
    except OSError as error:
        problem = str(error)
    if wait is None:
        print(f"The store did not answer {method} as it should: {problem}.", flush=True)
        sys.exit(1)
    time.sleep(wait)
PYTHON
}

# fetch URL FILE SHA256
fetch() {
    local try
    for try in 1 2 3; do
        http GET "$1" "$2" && echo "$3  $2" | sha256sum --check --status && return
        say "$(basename "$2") did not come whole (try $try)."
    done
    return 1
}

# Put what the log gained as the next numbered chunk. The last number is kept for the end.
ship() {
    local number from size last=${#BOOT_URLS[@]}
    read -r number from <"$DIR/shipped"
    size=$(stat -c %s "$LOG")
    [[ -e $DIR/ending ]] || last=$((last - 1))
    ((size > from && number < last)) || return 0
    tail -c "+$((from + 1))" "$LOG" | head -c "$((size - from))" >"$DIR/chunk"
    http PUT "${BOOT_URLS[number]}" "$DIR/chunk" && echo "$((number + 1)) $size" >"$DIR/shipped"
}

shipping() {
    local passed=0 every=2
    while [[ ! -e $DIR/ending ]]; do
        sleep 1
        # Chunks are few: the first seconds are told closely, a long pull once a minute.
        ((++passed < every)) && continue
        ship
        passed=0
        ((every = every * 3 / 2 + 1, every > 60)) && every=60
    done
    ship
}

finish() {
    trap - EXIT
    say "The machine powers off."
    : >"$DIR/ending"
    [[ -z $SHIPPER ]] || wait "$SHIPPER"
    power_off
}

# fail REASON SENTENCE: where the agent cannot tell the bot why, the warden does, in the agent's place.
fail() {
    say "$2"
    [[ -n $OUTCOME_URL ]] || exit 1
    tail -n 20 "$LOG" | REASON=$1 python3 -c '
import json, os, sys, time
data = {"reason": os.environ["REASON"], "code": None, "signal": None, "tail": sys.stdin.read().splitlines(), "steps": None}
print(json.dumps({"t": time.time(), "kind": "outcome", "data": data}))' >"$DIR/outcome"
    http PUT "$OUTCOME_URL" "$DIR/outcome"
    exit 1
}

engine_answers() {
    local try
    for try in {1..60}; do
        docker info >/dev/null 2>&1 && return
        ((try == 1)) && say "Waiting for the container engine."
        sleep 2
    done
    return 1
}

told() { tail -n 4 "$LOG" | grep -Eiq "$1"; }

no_room() {
    told 'no space left' &&
        fail bad_spec "The image does not fit on the machine's disk. Ask for more: resources: {disk: 200GB}."
}

pull() {
    local wait
    docker image inspect "$IMAGE" >/dev/null 2>&1 && return
    if [[ -n $MIRROR ]]; then
        say "Fetching the image $MIRROR."
        docker pull "$MIRROR" && IMAGE=$MIRROR && return
        no_room
        say "The mirror did not give it."
    fi
    say "Fetching the image $IMAGE."
    for wait in 5 20 0; do
        docker pull "$IMAGE" && return
        no_room
        told 'manifest unknown|not found|denied|unauthorized|invalid reference|no matching manifest' &&
            fail bad_image "The image $IMAGE cannot be pulled. Check its name and that it may be read."
        sleep "$wait"
    done
    fail launch_failed "The image $IMAGE could not be fetched."
}

# The provider's word that it takes the machine back reaches the agent as a file: nothing in there may ask for it.
hand_on_notice() {
    local try
    python3 "$DIR/hourglass/trainer.pyz" notice "$NOTICE" >"$DIR/notice" || return
    say "The provider takes this machine back: $(<"$DIR/notice")"
    chmod a+r "$DIR/notice"
    for try in 1 2 3; do
        docker cp "$DIR/notice" "$NAME:/hourglass/notice" && return
        say "The agent could not be told (try $try)."
    done
}

# The files are copied, not mounted, so that the engine need not share a file system with this script.
run() {
    local code flags=(--name "$NAME" --security-opt no-new-privileges --stop-timeout 30
        --log-opt max-size=10m --log-opt max-file=2 --entrypoint /bin/sh)
    ((SHM_GB > 0)) && flags+=(--shm-size "${SHM_GB}g")
    ((GPUS > 0)) && flags+=(--gpus all) # the whole machine is paid for
    # The variables are read inside: they may span lines, and none of them may steer the engine's client here.
    if ! { docker create "${flags[@]}" "$IMAGE" -c '. /hourglass/env.sh && exec python3 /hourglass/trainer.pyz' &&
        docker cp "$DIR/hourglass" "$NAME:/" && docker start "$NAME"; } >/dev/null; then
        no_room
        ((GPUS > 0)) && told 'nvidia|device driver|cdi' &&
            fail no_gpu "This machine's GPUs cannot be used: its NVIDIA driver or container toolkit is missing or broken."
        fail launch_failed "The container did not start."
    fi
    say "The container runs."
    hand_on_notice &
    code=$(docker wait "$NAME")
    say "The container ended with ${code:-no code}. Its own last words:"
    docker logs --tail 20 "$NAME"
    http HEAD "$SPOKEN_URL"
    (($? == 4)) || return 0
    ((${code:-0} == 126 || ${code:-0} == 127)) &&
        fail bad_image "The image has no python3 to run the agent with. Use one with Python 3.10 or newer."
    fail launch_failed "The container ended before its agent had said a word."
}

work() {
    trap finish EXIT
    restarted && fail lost "The machine was restarted, and its job with it."
    fetch "$BUNDLE_URL" "$DIR/bundle" "$BUNDLE_SHA256" || fail launch_failed "The machine's bundle cannot be read."
    # shellcheck source=/dev/null
    . "$DIR/bundle"
    http DELETE "$DISCARD_URL"
    echo "0 0" >"$DIR/shipped"
    shipping &
    SHIPPER=$!
    mkdir -p "$DIR/hourglass"
    base64 -d <<<"$ENV_BASE64" >"$DIR/hourglass/env.sh"
    fetch "$TRAINER_URL" "$DIR/hourglass/trainer.pyz" "$TRAINER_SHA256" || fail launch_failed "The agent cannot be fetched."
    # The image may name a user of its own, who has to read both; on this side the folder above stays closed.
    chmod -R go+rX "$DIR/hourglass"
    engine_answers || fail launch_failed "No container engine answers. The machine's image needs Docker."
    # Hop limit 1 keeps containers from the metadata service already; this says so to its face.
    iptables -I DOCKER-USER -d 169.254.169.254 -j DROP 2>/dev/null || say "No packet filter here."
    pull
    run
}

# unit PART DESCRIPTION LINES-OF-UNIT LINES-OF-SERVICE
unit() {
    printf '[Unit]\nDescription=Hourglass: %s\n%s\n[Service]\n%s\n' "$2" "$3" "$4"
    printf 'ExecStart=/bin/bash %s/warden %s\nStandardOutput=append:%s\nStandardError=inherit\n' "$DIR" "$1" "$LOG"
    printf '[Install]\nWantedBy=multi-user.target\n'
}

start_units() {
    local to=/etc/systemd/system
    [[ -d /run/systemd/system ]] || return
    unit guard "powers this machine off at its deadline" StartLimitIntervalSec=0 \
        $'Restart=always\nRestartSec=1' >$to/hourglass-guard.service
    # Also where the warden itself is killed, nobody pays for an empty machine.
    unit work "runs the team's container" $'Wants=network-online.target\nAfter=network-online.target docker.service' \
        "ExecStopPost=/bin/bash $DIR/warden off" >$to/hourglass-work.service
    # This script may run inside a unit that multi-user.target waits for.
    systemctl daemon-reload && systemctl enable --now --no-block hourglass-guard hourglass-work
}

begin() {
    local left part
    left=$(seconds_left)
    set_timer "$left"
    mkdir -p "$DIR"
    exec >>"$LOG" 2>&1
    echo "$DEADLINE $(($(uptime_seconds) + left))" >"$DIR/ends"
    cat /proc/sys/kernel/random/boot_id >"$DIR/boot_id"
    cp "$0" "$DIR/warden"
    say "$NAME boots and powers off in $left seconds."
    start_units && return
    for part in guard work; do setsid bash "$DIR/warden" "$part" </dev/null & done
}

case ${1:-begin} in
begin) begin ;;
guard) guard ;;
work) work ;;
off) power_off ;;
esac

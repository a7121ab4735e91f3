"""Programs that stand in the trainer archive's place and do what a team's script may do: hide, daemonise, hang.

Each writes the pids that it can tell into the file `$PIDS`, one a line, so that a test asks the kernel about them.
"""

from __future__ import annotations

_TELL = """
import ctypes, os, signal, subprocess, sys, time
def tell(pid):
    with open(os.environ["PIDS"], "a") as file:
        file.write(f"{pid}\\n")
tell(os.getpid())
"""

STAYS = _TELL + "time.sleep(3600)\n"

LEAVES = _TELL + "print('bye')\nsys.exit(7)\n"

# A daemon in the old way: two forks and a session of its own, its environment gone, deaf to polite signals.
DAEMON = (
    _TELL
    + """
daemon = '''
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\\\n")
time.sleep(3600)
'''
subprocess.Popen([sys.executable, "-c", daemon, os.environ["PIDS"]], env={}).wait()
time.sleep(3600)
"""
)

# Its marked child stays behind when the first process is gone.
ABANDONS = (
    _TELL
    + """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
tell(child.pid)
time.sleep(float(os.environ["ABANDON_AFTER"]))
os._exit(0)
"""
)

# Never the same two moments: it forks faster than one look at the process table takes.
BREEDS = (
    _TELL
    + """
for _ in range(4000):
    pid = os.fork()
    if pid:
        tell(pid)
        os._exit(0) if os.getpid() != int(open(os.environ["PIDS"]).readline()) else None
        while True:
            time.sleep(1)
    time.sleep(0.002)
time.sleep(3600)
"""
)

ENVIRONMENT = (
    _TELL
    + """
import json
with open(os.environ["SEEN"] + ".part", "w") as file:
    json.dump(dict(os.environ), file)
os.rename(os.environ["SEEN"] + ".part", os.environ["SEEN"])
time.sleep(3600)
"""
)

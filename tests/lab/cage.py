"""The cage: namespaces of our own that vanish with the process that made them.

Owns how the laboratory is shut in. Nothing in it has a name that another
laboratory could also want: network, mounts and processes are all anonymous,
so any number can run side by side, and the kernel takes everything down when
the first process of the process namespace ends, however it ends.
Must not know what runs inside.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# The programs a laboratory cannot do without, and the Debian packages they are in.
PROGRAMS = {
    "ip": "iproute2",
    "mount": "mount",
    "named": "bind9",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

# Where programs are looked for: not every user has the second half.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

# Where the inner process keeps its files: a directory of every Debian system
# that nothing of ours lies under. Only the cage sees what is mounted there.
GROUND = Path("/media")

# How long the inner process may take to end after Ctrl-C.
GRACE_SECONDS = 3


def missing() -> list[str]:
    """Names what keeps a laboratory from being built here; nothing when all is well."""
    lacks = [
        f"`{program}` (Debian package {package})"
        for program, package in PROGRAMS.items()
        if shutil.which(program, path=PATH) is None
    ]
    if os.geteuid() != 0:
        lacks.insert(0, "root")
    return lacks


def run_inside(arguments: list[str]) -> int:
    """Runs this program again inside a cage and returns its exit status.

    `setpriv` and `--kill-child` tie each process to the life of the one
    before it, so that nothing stays behind even after SIGKILL.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--"]
    command += ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--propagation", "private"]
    command += ["--fork", "--kill-child", "--mount-proc"]
    command += [sys.executable, "-B", "-m", "lab", "inside", *arguments]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # A shell lets what it starts in the background ignore Ctrl-C; this must not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal sent the same signal inside: let it finish its report.
        try:
            process.wait(GRACE_SECONDS)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            pass
        return 128 + signal.SIGINT
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def prepare_ground() -> Path:
    """Mounts an empty file system for the world's files and returns where."""
    shell("mount", "-t", "tmpfs", "-o", "mode=0755", "lab", GROUND)
    return GROUND


def shell(*words: object) -> str:
    """Runs a program that must succeed and returns what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"`{' '.join(map(str, words))}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class CannotRun(Exception):
    """This machine lacks what is named; says nothing about what is tested."""


class LabError(Exception):
    """The laboratory itself could not do its work; says nothing about what is tested."""

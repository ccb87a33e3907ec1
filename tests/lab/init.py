"""The sender's process 1: reaps what daemons leave behind and writes what they log.

usage: init.py ROOT NAME. Enters the sender's root by itself, as that may have no
Python; it imports nothing of the laboratory, nor anything later on. Writes what comes to /dev/log as a classic syslog daemon does: `mail.log` for the
mail facility, `syslog` for the rest (RFC 3164, 4.1, "PRI").
"""

import os
import re
import signal
import socket
import sys

MAIL_FACILITY = 2
PRIORITY = re.compile(rb"<(\d+)>(.{15} )?")


def reap(*_: object) -> None:
    """Collects every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main() -> None:
    """Serves /dev/log for as long as the sender lives."""
    root, name = sys.argv[1:]
    os.chroot(root)
    os.chdir("/")
    socket.sethostname(name)
    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = name.encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        print("ready", flush=True)
        while True:
            message = log.recv(65536)
            head = PRIORITY.match(message)
            if head is None:
                continue
            mail = int(head[1]) >> 3 == MAIL_FACILITY
            text = message[head.end() :].rstrip(b"\0\n")
            with open("/var/log/mail.log" if mail else "/var/log/syslog", "ab") as file:
                file.write((head[2] or b"Jan  1 00:00:00 ") + host + b" " + text + b"\n")


if __name__ == "__main__":
    sys.exit(main())

"""`script/lab`: runs worlds, lists them, opens a shell in one."""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from . import cage, network, peer, release, world
from .cage import CannotRun, LabError
from .ledger import Ledger
from .named import Named
from .receiver import Receivers
from .sender import ENVIRONMENT, Sender
from .steps import Run

ROOT = world.HERE.parent.parent
CANDIDATES = ["target/debug/mailfix", "target/release/mailfix"]

# The status that says this machine cannot build a world.
CANNOT = 3

# How much of the sender's log is shown when something is not as expected.
LOG_LINES = 20


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="script/lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("list", help="name every world")
    verbs.add_parser("self-test", help="test the laboratory's own parts")
    run = verbs.add_parser("run", help="run worlds and check what they expect")
    run.add_argument("worlds", nargs="+", metavar="WORLD")
    everything = verbs.add_parser("all", help="run every world")
    few = verbs.add_parser("ci", help="run the worlds that every run of the tests goes through")
    for verb in (everything, few):
        verb.set_defaults(worlds=[])
    shell = verbs.add_parser("shell", help="build a world and open a shell in its sender")
    shell.add_argument("worlds", nargs=1, metavar="WORLD")
    for verb in (run, everything, few):
        verb.add_argument("--jobs", type=int, default=1, metavar="N", help="worlds at a time (1)")
        verb.add_argument("--keep", action="store_true", help="keep logs and files of the sender, and say where")
    for verb in (run, everything, few, shell):
        verb.add_argument(
            "--postfix",
            action="append",
            choices=release.RELEASES,
            help="the release of Debian to send from (default: those the world names, or bookworm); repeatable",
        )
        verb.add_argument("--mailfix", type=Path, metavar="PATH", help=f"the program (default {CANDIDATES[0]})")
    # The verb the laboratory runs itself with, once the cage is closed.
    inside = verbs.add_parser("inside")
    inside.add_argument("action", choices=["run", "shell"])
    inside.add_argument("worlds", nargs=1)
    inside.add_argument("--postfix", action="append")
    inside.add_argument("--mailfix", type=Path)
    inside.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    try:
        return _act(arguments)
    except CannotRun as error:
        print(f"lab: this needs {error}", file=sys.stderr)
        return CANNOT
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _act(arguments: argparse.Namespace) -> int:
    if arguments.verb == "list":
        for name in world.names():
            this = world.load(name)
            on = f" ({', '.join(this.postfix)})" if this.postfix else ""
            print(f"{'*' if this.ci else ' '} {name:32} {this.title}{on}")
        print("* is run by every run of the tests (`script/lab ci`)")
        return 0
    if arguments.verb == "self-test":
        return 0 if unittest.main("lab.selftest", argv=["self-test"], exit=False).result.wasSuccessful() else 1
    if arguments.verb == "inside":
        return _inside(arguments)
    if lacking := cage.missing():
        raise CannotRun(", ".join(lacking))
    worlds = [world.load(name) for name in arguments.worlds or world.names()]
    if arguments.verb == "ci":
        worlds = [each for each in worlds if each.ci]
    pairs = []
    for each in worlds:
        on = _releases(each, arguments.postfix)
        if not on and arguments.worlds:
            raise LabError(f"`{each.name}` is not for {', '.join(arguments.postfix)}")
        pairs += [(each, name) for name in on]
    mailfix = _mailfix(arguments.mailfix)
    if mailfix is None and any(each.needs_mailfix for each in worlds):
        raise LabError("there is no program to try: build it (`cargo build`) or name it with --mailfix")
    options = ["--mailfix", str(mailfix)] if mailfix else []
    if arguments.verb == "shell" or len(pairs) == 1:
        this, on = pairs[0]
        _underneath(this, on)
        if arguments.verb == "shell":
            return cage.run_inside(["shell", this.name, "--postfix", on, *options])
        if arguments.keep:
            options += ["--keep", tempfile.mkdtemp(prefix="mailfix-lab-")]
        return cage.run_inside(["run", this.name, "--postfix", on, *options])
    return _side_by_side(arguments, pairs, options)


def _underneath(this: world.World, on: str) -> None:
    """Fails where this machine lacks what a world stands on."""
    lower = release.underneath(on, this.sender.shipped)
    for need in this.needs:
        if need == "dkimpy":
            if lacking := peer.missing():
                raise CannotRun(lacking)
        elif not any((lower / folder / need).exists() for folder in ("usr/sbin", "usr/bin")):
            raise CannotRun(f"`{need}` (a package of Debian)")


def _releases(this: world.World, wanted: list[str] | None) -> list[str]:
    """Returns the releases a world is to be run on."""
    if wanted is None:
        return release.usual(this.postfix)
    return [name for name in wanted if this.suits(name)]


def _side_by_side(arguments: argparse.Namespace, pairs: list[tuple[world.World, str]], options: list[str]) -> int:
    """Runs each world in a process of its own and prints its report in one piece."""
    options = options + (["--keep"] if arguments.keep else [])
    left_out = {}
    for this, on in pairs:
        try:
            _underneath(this, on)
        except CannotRun as error:
            left_out[this.name, on] = error
    names = [(this.name, on) for this, on in pairs if (this.name, on) not in left_out]

    def run(name: str, on: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        command = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-B", "-m", "lab"]
        command += ["run", name, "--postfix", on, *options]
        return f"{name} on {on}", subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    failed = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, *each) for each in names]):
            what, done = future.result()
            print(done.stdout, end="", flush=True)
            if done.returncode != 0:
                failed.append(what)
    for (name, on), error in left_out.items():
        print(f"{name} on {on}: left out, it needs {error}")
    print(f"{len(names) - len(failed)} of {len(names)} worlds as expected", end="")
    print(f", {len(left_out)} left out" if left_out else "", end="")
    print(f"; not: {', '.join(sorted(failed))}" if failed else "")
    return 1 if failed else CANNOT if left_out else 0


def _inside(arguments: argparse.Namespace) -> int:
    """Builds the world in the cage and runs it."""
    began = time.monotonic()
    this = world.load(arguments.worlds[0])
    (on,) = arguments.postfix
    print(f"{this.name} on {on}: {this.title}", flush=True)
    ground = cage.prepare_ground()
    network.build(list(this.hosts))
    ledger = Ledger(ground / "ledger.jsonl")
    named = Named(world.NAMED_IPV4, world.NAMED_IPV6, ground / "named.log")
    named.start(this.records)
    Receivers(this.hosts, named, ledger).start()
    lower = release.underneath(on, this.sender.shipped)
    sender = Sender(this.sender, lower, ground, arguments.mailfix)
    run = Run(this, sender, named, ledger)
    try:
        sender.start()
        print(f"  --   world built in {time.monotonic() - began:.1f} s", flush=True)
        if arguments.action == "shell":
            return _shell(sender)
        run.all_steps()
    except LabError:
        _print_log(sender)
        raise
    finally:
        if arguments.keep:
            _keep(ground, sender, arguments.keep)
    if run.failures:
        _print_log(sender)
    word = "FAILED" if run.failures else "passed"
    print(f"{this.name} on {on}: {word} in {time.monotonic() - began:.1f} s", flush=True)
    return 1 if run.failures else 0


def _print_log(sender: Sender) -> None:
    print("       --- end of mail.log ---")
    print("\n".join(f"       {line}" for line in sender.log().splitlines()[-LOG_LINES:]), flush=True)


def _shell(sender: Sender) -> int:
    print(f"  --   Postfix's files: {sender.directory}; its log: /var/log/mail.log; `exit` ends the world")
    environment = {**ENVIRONMENT, "TERM": os.environ.get("TERM", "dumb"), "MAIL_CONFIG": sender.directory}
    return subprocess.run([*sender.inside(), "bash", "--norc", "-i"], env=environment).returncode


def _keep(ground: Path, sender: Sender, target: Path) -> None:
    """Copies what tells the story out of the cage."""
    for source in (ground / "ledger.jsonl", ground / "named.log", sender.path("/var/log/mail.log")):
        if source.exists():
            shutil.copy(source, target)
    for path in (sender.directory, "/etc/mailfix", "/var/lib/mailfix"):
        if sender.path(path).exists():
            shutil.copytree(sender.path(path), target / path.lstrip("/"), symlinks=True, dirs_exist_ok=True)
    print(f"  --   kept in {target}")


def _mailfix(named: Path | None) -> Path | None:
    """Returns the program to try: the one named, else the one that was built."""
    if named is not None:
        if not named.is_file():
            raise LabError(f"there is no program `{named}`")
        return named.resolve()
    return next((ROOT / each for each in CANDIDATES if (ROOT / each).is_file()), None)


if __name__ == "__main__":
    sys.exit(main())

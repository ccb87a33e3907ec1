"""The steps of a world: does what each says and checks what came of it.

Owns the meaning of the verbs and the report, one line a check. Must not know
how the machines are built.
"""

import collections
import itertools
import re
import shlex
import time
from typing import Any

from . import maillog
from .cage import LabError
from .ledger import Ledger
from .named import Named
from .sender import MAILFIX, Done, Node, Sender
from .waiting import until
from .world import DOMAIN, Step, World, ptr_record

# How long all messages of one step may take to come to an end.
SEND_SECONDS = 30
RUN_SECONDS = 60


class Run:
    """One run through a world."""

    def __init__(self, world: World, sender: Sender, named: Named, ledger: Ledger) -> None:
        self.world = world
        self.sender = sender
        self.named = named
        self.ledger = ledger
        self.failures = 0
        self._snapshots: dict[str, dict[str, Node]] = {}
        self._snapshot_paths: dict[str, list[str]] = {}
        self._numbers = itertools.count(1)
        # How much of the log earlier steps have already answered for.
        self._log_read = 0

    def all_steps(self) -> None:
        """Does every step; stops after the first one that fails, as the rest builds on it."""
        for number, step in enumerate(self.world.steps, 1):
            began = len(self.sender.log())
            getattr(self, f"_{step.verb}")(number, step.value, step.options)
            self._log_read = began
            if self.failures:
                left = len(self.world.steps) - number
                print(f"  -- {left} steps not tried" if left else "  -- this was the last step")
                return

    def _check(self, number: int, what: str, problem: str = "") -> None:
        if problem:
            self.failures += 1
        print(f"  {'FAIL' if problem else 'ok  '} {number}. {what}{': ' if problem else ''}{problem}", flush=True)

    # The verbs --------------------------------------------------------------

    def _send(self, number: int, expected: dict[str, str], options: dict[str, Any]) -> None:
        each, says = options.get("each", 1), options.get("says", {})
        messages = []
        for who in expected:
            recipient = who if "@" in who else f"user@{who}"
            for _ in range(each):
                message_id = f"<{number}.{next(self._numbers)}@{DOMAIN}>"
                messages.append((who, recipient, message_id))
        began = len(self.sender.log())
        for _, recipient, message_id in messages:
            self.sender.submit(recipient, message_id)
        results = collections.defaultdict(list)
        deadline = time.monotonic() + options.get("within", SEND_SECONDS)
        for who, recipient, message_id in messages:
            results[who].append(self._outcome(recipient, message_id, expected[who], began, deadline))
        for who, outcome in expected.items():
            once = ", once" if outcome in ("ipv4", "ipv6") else ""
            problem = _send_problem(results[who], outcome, says.get(who, ""))
            self._check(number, f"{each} to {who}: {outcome}{once}", problem)

    def _outcome(
        self, recipient: str, message_id: str, expected: str, began: int, deadline: float
    ) -> tuple[str, str]:
        """Waits for a message to come to an end; returns how it did and in what words."""

        def ended() -> tuple[str, str] | None:
            log = self.sender.log()[began:]
            if statuses := maillog.statuses(log, message_id, recipient):
                return self._judge(statuses[-1], recipient, message_id)
            death = maillog.dying_agent(log)
            # Only who expects it need not wait whether a status line still comes.
            return ("stuck", death) if death and expected == "stuck" else None

        try:
            return until("a status line", ended, max(deadline - time.monotonic(), 0))
        except LabError:
            death = maillog.dying_agent(self.sender.log()[began:])
            return ("stuck", death) if death else ("lost", "no status line in time")

    def _judge(self, status: maillog.Status, recipient: str, message_id: str) -> tuple[str, str]:
        arrivals = self.ledger.accepted(message_id, recipient)
        text = f"{status.relay} {status.text}"
        if len(arrivals) != (1 if status.word == "sent" else 0):
            return f"delivered {len(arrivals)} times", f"status={status.word} {text}"
        if arrivals:
            return f"ipv{arrivals[0].family}", f"{arrivals[0].host} {text}"
        return status.word, text

    def _run(self, number: int, command: list[str], options: dict[str, Any]) -> None:
        words = [word.replace("@MAILFIX@", MAILFIX) for word in command]
        began = time.monotonic()
        done = self.sender.run(words, options.get("within", RUN_SECONDS))
        problems = []
        wanted = options.get("status", 0)
        if done.status != wanted:
            problems.append(f"status {done.status}, not {wanted}")
        problems += _text_problems(done.stdout + done.stderr, options)
        shown = shlex.join(words).replace(MAILFIX, "mailfix")
        self._check(number, f"`{shown}` ends with {wanted} ({time.monotonic() - began:.1f} s)", "; ".join(problems))
        if problems:
            _print_transcript(done)

    def _files(self, number: int, files: dict[str, str], _: dict[str, Any]) -> None:
        for path, text in files.items():
            self.sender.write(path, text)
        self._check(number, f"wrote {', '.join(files)}")

    def _snapshot(self, number: int, name: str, options: dict[str, Any]) -> None:
        paths = options.get("paths", [self.sender.directory])
        self._snapshot_paths[name] = paths
        self._snapshots[name] = self.sender.tree(paths)
        self._check(number, f"remembered {len(self._snapshots[name])} files of {', '.join(paths)} as `{name}`")

    def _same(self, number: int, name: str, options: dict[str, Any]) -> None:
        if name not in self._snapshots:
            raise LabError(f"step {number}: nothing was remembered as `{name}`")
        before, after = self._snapshots[name], self.sender.tree(self._snapshot_paths[name])
        mtimes = options.get("mtimes", False)
        problems = [
            f"{path} {difference}"
            for path in sorted(before.keys() | after.keys())
            if (difference := _difference(before.get(path), after.get(path), mtimes))
        ]
        what = f"{len(before)} files byte for byte as in `{name}`{', untouched' if mtimes else ''}"
        self._check(number, what, "; ".join(problems))

    def _contains(self, number: int, path: str, options: dict[str, Any]) -> None:
        file = self.sender.path(path)
        text = file.read_text(errors="replace") if file.exists() else ""
        problems = _text_problems(text, options)
        self._check(number, f"{path} as expected", "; ".join(problems))

    def _postfix(self, number: int, word: str, _: dict[str, Any]) -> None:
        match word:
            case "running" | "stopped":
                runs = self.sender.runs()
                self._check(number, f"Postfix is {word}", "" if runs == (word == "running") else "it is not")
            case "empty-queue":
                # The last report of a bounce may still be on its way.
                until("the queue to be empty", self.sender.queue_is_empty)
                self._check(number, "the queue is empty")
            case _:
                self.sender.postfix(word)
                self._check(number, f"postfix {word}")

    def _dns(self, number: int, change: dict[str, Any], _: dict[str, Any]) -> None:
        add = change.get("add", []) + [ptr_record(*pair) for pair in change.get("ptr", {}).items()]
        self.named.change(add, change.get("remove", []))
        self._check(number, f"DNS: {len(add)} records added, {len(change.get('remove', []))} removed")

    def _log(self, number: int, patterns: list[str], options: dict[str, Any]) -> None:
        text = self.sender.log()[self._log_read :]
        problems = _text_problems(text, {"has": patterns, **options})
        self._check(number, "the mail log of the last step as expected", "; ".join(problems))


def _send_problem(results: list[tuple[str, str]], outcome: str, pattern: str) -> str:
    """Returns what is wrong with how the messages to one recipient ended; empty if nothing is."""
    if outcome == "mixed":
        counts = collections.Counter(found for found, _ in results)
        return "" if counts.keys() == {"ipv4", "bounced"} else f"not some of both: {dict(counts)}"
    for found, text in results:
        if found != outcome:
            return f"{found}: {text}"
        if not re.search(pattern, text):
            return f"no match of /{pattern}/ in: {text}"
    return ""


def _text_problems(text: str, options: dict[str, Any]) -> list[str]:
    missing = [f"no match of /{pattern}/" for pattern in options.get("has", []) if not re.search(pattern, text, re.M)]
    extra = [f"unwanted match of /{pattern}/" for pattern in options.get("lacks", []) if re.search(pattern, text, re.M)]
    return missing + extra


def _difference(before: Node | None, after: Node | None, mtimes: bool) -> str:
    if before is None:
        return "is new"
    if after is None:
        return "is gone"
    if before.content != after.content:
        return "has other content"
    if (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid):
        return f"mode or owner {before.mode:o} {before.uid}:{before.gid} -> {after.mode:o} {after.uid}:{after.gid}"
    if before.attributes != after.attributes:
        return "has other extended attributes"
    return "was written again" if mtimes and before.modified != after.modified else ""


def _print_transcript(done: Done) -> None:
    for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        print(f"       --- {name} ---")
        for line in text.splitlines():
            print(f"       {line}")

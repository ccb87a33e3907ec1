"""The steps of a world: does what each says and checks what came of it.

Owns the meaning of the verbs and the report, one line a check. Must not know
how the machines are built.
"""

import collections
import contextlib
import itertools
import json
import re
import shlex
import smtplib
import time
from typing import Any

from . import dkim, doctor, maillog
from .cage import LabError
from .ledger import Ledger
from .named import Named
from .sender import MAILFIX, USER, Done, Node, Sender
from .waiting import until
from .world import DOMAIN, HOST_NAME, SENDER_IPV4, Step, World, ptr_record

# How long all messages of one step may take to come to an end.
SEND_SECONDS = 30
RUN_SECONDS = 60
# How often the queue is flushed while mail that waits is waited for.
FLUSH_SECONDS = 1.0
# How long lines of the log may come after the status line that a step waited for.
LOG_SECONDS = 10

# The whole job without questions, as a newcomer on this sender would say it.
INIT = ["init", "--no-input", "--yes", "--hostname", HOST_NAME, "--domain", DOMAIN]
INIT += ["--reverse-dns6", "none", "--allow-non-global"]

# What stands in a command for the one that `mailfix doctor` named.
DOCTOR = "@DOCTOR@"
# What looking leaves alone, beside Postfix's own files.
NEVER_CHANGED = ["/etc/mailfix", "/var/lib/mailfix", "/var/spool/postfix/etc", "/etc/resolv.conf"]

# The files in which mailfix may change single words; it leaves all others alone.
SHARED = ["main.cf", "master.cf"]

# The outcomes of which several messages must show both.
BOTH = {"mixed": {"ipv4", "bounced"}, "slowed": {"ipv4", "deferred"}}

# The fields a signature is made over.
SIGNED_FIELDS = ["From", "To", "Subject", "Message-ID"]


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
        # What the last `send` sent: key of the step, recipient, Message-ID; and where its log begins.
        self._sent: list[tuple[str, str, str]] = []
        self._sent_at = 0
        # Who that was from.
        self._author = f"{USER}@{DOMAIN}"
        # How much of the log earlier steps have already answered for.
        self._log_read = 0
        # The command that `mailfix doctor` named last.
        self._remedy = ""

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
        key = None
        if signed := options.get("signed"):
            key = dkim.private_key(self.sender.path(signed["key"]).read_text())
        self._sent, self._sent_at = [], len(self.sender.log())
        self._author = options.get("from", f"{USER}@{DOMAIN}")
        addresses = {who: who if "@" in who else f"user@{who}" for who in expected}
        # One message through a forwarder, or one to each.
        envelopes = {options["via"]: addresses} if "via" in options else {to: {who: to} for who, to in addresses.items()}
        for envelope, reached in envelopes.items():
            for _ in range(each):
                message_id = f"<{number}.{next(self._numbers)}@{DOMAIN}>"
                message = _message(self._author, envelope, message_id)
                if key:
                    message = dkim.sign(message, key, signed.get("domain", DOMAIN), signed["selector"], SIGNED_FIELDS)
                if "from" in options:
                    _deliver(self._author, envelope, message)
                else:
                    self.sender.submit(envelope, message, options.get("by", "sendmail"))
                self._sent += [(who, recipient, message_id) for who, recipient in reached.items()]
        deadline = time.monotonic() + options.get("within", SEND_SECONDS)
        results = collections.defaultdict(list)
        for who, recipient, message_id in self._sent:
            results[who].append(self._outcome(recipient, message_id, expected[who], deadline))
        for who, outcome in expected.items():
            once = ", once" if outcome in ("ipv4", "ipv6") else ""
            problem = _send_problem(results[who], outcome, says.get(who, ""))
            self._check(number, f"{each} to {who}: {outcome}{once}", problem)

    def _returned(self, number: int, expected: dict[str, str], options: dict[str, Any]) -> None:
        """A receiver that took a message reports later that it could not be delivered."""
        author = self._author
        began = len(self.sender.log())
        for who, outcome in expected.items():
            arrivals = [one for each in self._sent if each[0] == who for one in self.ledger.accepted(each[2], each[1])]
            if not arrivals:
                self._check(number, f"a report of {who} returns", "nothing arrived there")
                continue
            message_id = f"<{number}.{next(self._numbers)}@{who.rpartition('@')[2]}>"
            _deliver("", arrivals[-1].sender, _message(f"postmaster@{who.rpartition('@')[2]}", author, message_id))
            self._sent_at = began
            deadline = time.monotonic() + options.get("within", SEND_SECONDS)
            result = self._outcome(author, message_id, outcome, deadline)
            self._check(number, f"a report of {who} to {arrivals[-1].sender} reaches {author}: {outcome}, once", _send_problem([result], outcome, ""))

    def _flush(self, number: int, expected: dict[str, str], options: dict[str, Any]) -> None:
        says = options.get("says", {})
        ends: dict[str, list[tuple[str, str]]] = {}
        flushed = -FLUSH_SECONDS

        def settled() -> bool:
            nonlocal flushed
            if time.monotonic() - flushed >= FLUSH_SECONDS:
                flushed = time.monotonic()
                self.sender.run(["postqueue", "-c", self.sender.directory, "-f"])
            for who in expected:
                messages = [each for each in self._sent if each[0] == who]
                ends[who] = [self._outcome(each[1], each[2], "", time.monotonic()) for each in messages]
            return all(_send_problem(ends[who], outcome, "") == "" for who, outcome in expected.items())

        try:
            until("the mail that waits", settled, options.get("within", SEND_SECONDS))
        except LabError:
            pass  # the checks below say what is missing
        for who, outcome in expected.items():
            problem = _send_problem(ends[who], outcome, says.get(who, "")) if ends[who] else "nothing was sent"
            self._check(number, f"after flushing the queue, what was sent to {who}: {outcome}, once", problem)

    def _outcome(
        self, recipient: str, message_id: str, expected: str, deadline: float
    ) -> tuple[str, str]:
        """Waits for a message to come to an end; returns how it did and in what words."""

        def ended() -> tuple[str, str] | None:
            log = self.sender.log()[self._sent_at :]
            if statuses := maillog.statuses(log, message_id, recipient):
                return self._judge(statuses[-1], recipient, message_id)
            death = maillog.dying_agent(log)
            # Only who expects it need not wait whether a status line still comes.
            return ("stuck", death) if death and expected == "stuck" else None

        try:
            return until("a status line", ended, max(deadline - time.monotonic(), 0))
        except LabError:
            death = maillog.dying_agent(self.sender.log()[self._sent_at :])
            return ("stuck", death) if death else ("lost", "no status line in time")

    def _judge(self, status: maillog.Status, recipient: str, message_id: str) -> tuple[str, str]:
        arrivals = self.ledger.accepted(message_id, recipient)
        text = f"{status.relay} {status.text}"
        if len(arrivals) != (1 if status.word == "sent" else 0):
            return f"delivered {len(arrivals)} times", f"status={status.word} {text}"
        if arrivals:
            only = arrivals[0]
            seen = f"{only.host} from={only.source} helo={only.helo} dkim={only.dkim} [{only.signatures}] sender={only.sender}"
            return f"ipv{only.family}", f"{seen} {text}"
        return status.word, text

    def _run(self, number: int, command: list[str], options: dict[str, Any]) -> None:
        if DOCTOR in command and not self._remedy:
            self._check(number, DOCTOR, "`mailfix doctor` named no command")
            return
        words = _command(command, self._remedy)
        began = time.monotonic()
        done = self.sender.run(words, options.get("within", RUN_SECONDS))
        problems = []
        wanted = options.get("status", 0)
        if done.status != wanted:
            problems.append(f"status {done.status}, not {wanted}")
        problems += _text_problems(done.stdout + done.stderr, options)
        if "publish" in options and not problems:
            self._publish(number, done.stdout, options["publish"])
        shown = " ".join(shlex.join(words).replace(MAILFIX, "mailfix").split())
        self._check(number, f"`{shown}` ends with {wanted} ({time.monotonic() - began:.1f} s)", "; ".join(problems))
        if problems:
            _print_transcript(done)

    def _doctor(self, number: int, first: str, options: dict[str, Any]) -> None:
        """Asks what is wrong, which changes nothing."""
        paths = [self.sender.directory, *NEVER_CHANGED]
        before = self.sender.tree(paths)
        words = [MAILFIX, "doctor", "--json", *options.get("with", [])]
        began = time.monotonic()
        done = self.sender.run(words, options.get("within", RUN_SECONDS))
        seconds = time.monotonic() - began
        problems = [f"{path} {difference}" for path, difference in _differences(before, self.sender.tree(paths), True)]
        try:
            found = doctor.findings(done.stdout)
        except doctor.Unreadable as error:
            found, problems = [], [str(error), *problems]
        else:
            problems = doctor.problems(found, done.status, first, options) + problems
        self._remedy = doctor.answered(doctor.remedy(found), INIT[1:])
        shown = shlex.join(words).replace(MAILFIX, "mailfix")
        self._check(number, f"`{shown}` finds {first} first ({seconds:.1f} s)", "; ".join(problems))
        if problems:
            _print_transcript(done)

    def _publish(self, number: int, output: str, types: list[str]) -> None:
        """Puts records that were printed as JSON into DNS, in the place of those of the same name and type."""
        records = [each for each in json.loads(output)["records"] if each["type"] in types]
        keys = {(each["name"].lower(), each["type"]) for each in records}
        present = [record.split()[:2] for record in self.named.records]
        old = sorted({f"{name} {kind}" for name, kind in present if (name.lower(), kind) in keys})
        new = [f"{each['name']} {each['type']} {_rdata(each['type'], each['value'])}" for each in records]
        self.named.change(new, old)
        missing = [f"no {kind} record" for kind in types if kind not in {each["type"] for each in records}]
        self._check(number, f"DNS: {len(new)} records as printed, for {len(old)} old ones", "; ".join(missing))

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
        problems = [f"{path} {difference}" for path, difference in _differences(before, after, mtimes)]
        what = f"{len(before)} files byte for byte as in `{name}`{', untouched' if mtimes else ''}"
        self._check(number, what, "; ".join(problems))

    def _keeps(self, number: int, name: str, options: dict[str, Any]) -> None:
        before, after = self._snapshots[name], self.sender.tree(self._snapshot_paths[name])
        problems = []
        for path, node in before.items():
            if path.rpartition("/")[2] not in SHARED:
                difference = _difference(node, after.get(path), mtimes=False)
                problems += [f"{path} {difference}"] if difference else []
            elif lost := _lost_lines(node, after.get(path), options.get("without", [])):
                problems.append(f"{path} lost {lost!r}")
        self._check(number, f"every line of {len(before)} files is still there as in `{name}`", "; ".join(problems))

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
        def problems() -> list[str]:
            return _text_problems(self.sender.log()[self._log_read :], {"has": patterns, **options})

        # Other daemons write their lines after the status line that the last step waited for.
        with contextlib.suppress(LabError):
            until("the mail log", lambda: not problems(), LOG_SECONDS)
        self._check(number, "the mail log of the last step as expected", "; ".join(problems()))


def _deliver(author: str, recipient: str, message: bytes) -> None:
    """Brings a message from outside, as the host of its author does."""
    with smtplib.SMTP(SENDER_IPV4, 25, "mx.elsewhere.example", SEND_SECONDS) as wire:
        wire.sendmail(author, [recipient], message)


def _message(author: str, recipient: str, message_id: str) -> bytes:
    """Returns a message as its writer's program makes it."""
    fields = [f"From: {author}", f"To: {recipient}", f"Message-ID: {message_id}", "Subject: laboratory"]
    return "\r\n".join([*fields, "", "Hello.", ""]).encode()


def _command(command: list[str], remedy: str = "") -> list[str]:
    words = []
    for word in command:
        if word == "@INIT@":
            words += [MAILFIX, *INIT]
        elif word == DOCTOR:
            words += ["sh", "-ec", remedy]
        else:
            words.append(word.replace("@MAILFIX@", MAILFIX))
    return words


def _rdata(kind: str, value: str) -> str:
    """Returns the data of a record as a zone file has it: names end in a dot, strings after 255 bytes."""
    if kind in ("PTR", "MX"):
        return f"{value.rstrip('.')}."
    if kind != "TXT" or value.startswith('"'):
        return value
    return " ".join(f'"{value[at : at + 255]}"' for at in range(0, len(value), 255))


def _lost_lines(before: Node, after: Node | None, without: list[str]) -> str:
    """Returns the first line that is neither there, at its place in the order, nor the beginning of one."""
    left = iter(after.content.decode("utf-8", "replace").splitlines() if after else [])
    for line in before.content.decode("utf-8", "replace").splitlines():
        if any(re.search(pattern, line) for pattern in without):
            continue
        if not any(new.startswith(line.rstrip()) for new in left):
            return line
    return ""


def _send_problem(results: list[tuple[str, str]], outcome: str, pattern: str) -> str:
    """Returns what is wrong with how the messages to one recipient ended; empty if nothing is."""
    if outcome in BOTH:
        counts = collections.Counter(found for found, _ in results)
        return "" if counts.keys() == BOTH[outcome] else f"not some of both: {dict(counts)}"
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


def _differences(before: dict[str, Node], after: dict[str, Node], mtimes: bool) -> list[tuple[str, str]]:
    """Returns each path that is not as it was, and in what."""
    every = ((path, _difference(before.get(path), after.get(path), mtimes)) for path in sorted(before.keys() | after.keys()))
    return [(path, difference) for path, difference in every if difference]


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

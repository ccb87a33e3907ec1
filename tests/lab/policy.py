"""What a receiver thinks of a message: the demands of each kind, and the words of its refusals.

Owns the judgement. Must not know the dialogue it is made in.

- `google` demands a forward-confirmed PTR record (refused at the chosen stage, in
  the words of the chosen year) and a pass of SPF or DKIM (refused at the end of
  DATA); it refuses what is spam to it.
- `microsoft` demands both over IPv6 only, and says so with codes for a while.
- `yahoo` takes so many messages from an address in so many seconds, and puts off the rest.
- `netease` takes so many connections from an address at a time, over all its hosts, and puts off the rest.
- `spf` refuses senders whose SPF record says that they do not send from there.
- `dmarc` refuses what the author's domain wants refused (RFC 7489): neither SPF nor DKIM passes
  for that very domain or one below it.
- `neutral` takes everything.

All know no user whose name begins with `unknown`.
"""

import contextlib
import re
import secrets
import threading
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import dkim, dns, spf

Lookup = Callable[[str, str], list[str]]

STAGES = ["banner", "mail", "rcpt", "data", "end-of-data"]

WORDINGS = tomllib.loads((Path(__file__).parent / "wordings.toml").read_text())

KINDS = list(WORDINGS)
GENERATIONS = list(WORDINGS["google"]["no-ptr"])


@dataclass(frozen=True)
class Behaviour:
    """How a host, or a host towards one recipient or domain, decides."""

    kind: str = "neutral"
    generation: str = "2016"
    stage: str = "end-of-data"
    # Messages from one address, and in how many seconds; 0 is no limit.
    rate: int = 0
    seconds: int = 10
    # Connections from one address at a time; 0 is no limit.
    connections: int = 0
    # How long it thinks about a message, in seconds.
    slow: float = 0


@dataclass
class Mail:
    """What is known of a message so far."""

    address: str
    helo: str = ""
    sender: str = ""
    recipient: str = ""
    message: bytes = b""

    @property
    def family(self) -> int:
        """Which IP it came over."""
        return 6 if ":" in self.address else 4

    @property
    def domain(self) -> str:
        """The domain whose SPF record counts: the sender's, of a bounce the client's (RFC 7208, 2.4)."""
        return domain_of(self.sender) or self.helo


@dataclass
class Judge:
    """Judges for all hosts of a world."""

    lookup: Lookup
    _seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # Connections that are open, by the kind of receiver and the address they come from.
    _open: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def connected(self, behaviour: Behaviour, address: str) -> Iterator[None]:
        """Counts a connection while it is open."""
        key = (behaviour.kind, address)
        with self._lock:
            self._open[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[key] -= 1

    def refusal(self, behaviour: Behaviour, stage: str, mail: Mail) -> list[str] | None:
        """Returns the words in which this mail is refused at this stage; nothing if it is not."""
        if stage == "rcpt" and mail.recipient.startswith("unknown"):
            return words(behaviour, "no-such-user", recipient=mail.recipient)
        match behaviour.kind:
            case "google":
                return self._google(behaviour, stage, mail)
            case "microsoft":
                return self._microsoft(behaviour, stage, mail)
            case "yahoo":
                return self._yahoo(behaviour, stage, mail)
            case "netease":
                return self._netease(behaviour, stage, mail)
            case "spf" if stage == "rcpt" and spf.check(self.lookup, mail.address, mail.domain) == "fail":
                return words(behaviour, "spf-fail", address=mail.address, domain=mail.domain)
            case "dmarc" if stage == "end-of-data" and self._is_disowned(mail):
                return words(behaviour, "dmarc-fail", domain=author_domain(mail.message))
        return None

    def _google(self, behaviour: Behaviour, stage: str, mail: Mail) -> list[str] | None:
        demand = WORDINGS["google"]["no-ptr"][behaviour.generation]
        if stage == behaviour.stage and mail.family in demand["families"] and not self._is_confirmed(mail.address):
            return fill(demand["reply"], address=mail.address)
        if stage != "end-of-data":
            return None
        if mail.family in demand["authentication"] and not self._is_authenticated(mail):
            return words(behaviour, "unauthenticated", address=mail.address, domain=mail.domain)
        if mail.recipient.startswith("spam"):
            return words(behaviour, "spam", address=mail.address)
        return None

    def _microsoft(self, behaviour: Behaviour, stage: str, mail: Mail) -> list[str] | None:
        if mail.family != 6:
            return None
        if stage == "rcpt" and not self._is_confirmed(mail.address):
            return words(behaviour, "no-ptr", address=mail.address)
        if stage == "end-of-data" and not self._is_authenticated(mail):
            return words(behaviour, "unauthenticated", address=mail.address)
        return None

    def _yahoo(self, behaviour: Behaviour, stage: str, mail: Mail) -> list[str] | None:
        if stage != "mail" or not behaviour.rate:
            return None
        now = time.monotonic()
        with self._lock:
            times = [then for then in self._seen[mail.address] if now - then < behaviour.seconds]
            self._seen[mail.address] = times
            if len(times) >= behaviour.rate:
                return words(behaviour, "too-fast", address=mail.address)
            times.append(now)
        return None

    def _netease(self, behaviour: Behaviour, stage: str, mail: Mail) -> list[str] | None:
        if stage != "banner" or not behaviour.connections:
            return None
        with self._lock:
            many = self._open[behaviour.kind, mail.address] > behaviour.connections
        return words(behaviour, "too-many-connections") if many else None

    def _is_confirmed(self, address: str) -> bool:
        """Says whether a name of this address leads back to it (RFC 8601, 2.7.3, "iprev")."""
        kind = "AAAA" if ":" in address else "A"
        names = self.lookup(dns.reverse_name(address), "PTR")
        return any(address in self.lookup(name, kind) for name in names)

    def _is_authenticated(self, mail: Mail) -> bool:
        passed = spf.check(self.lookup, mail.address, mail.domain) == "pass"
        return passed or dkim.check(self.lookup, mail.message) == "pass"

    def _is_disowned(self, mail: Mail) -> bool:
        domain = author_domain(mail.message)
        policies = [text for text in self.lookup(f"_dmarc.{domain}", "TXT") if text.startswith("v=DMARC1")]
        if not any(re.search(r";\s*p=reject", text) for text in policies):
            return False
        passed = [mail.domain] if spf.check(self.lookup, mail.address, mail.domain) == "pass" else []
        if dkim.check(self.lookup, mail.message) == "pass":
            header = mail.message.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
            passed += re.findall(r"(?im)^dkim-signature:.*\bd=([^;\s]+)", header)
        return not any(name == domain or name.endswith(f".{domain}") for name in passed)


def words(behaviour: Behaviour, key: str, **values: str) -> list[str]:
    """Returns a reply of this kind of receiver."""
    return fill(WORDINGS[behaviour.kind][key]["reply"], **values)


def fill(lines: list[str], **values: str) -> list[str]:
    """Puts values into the lines of a reply."""
    identity = f"{secrets.token_hex(3)}si{secrets.randbelow(10**7)}lab.{secrets.randbelow(500)}"
    return [line.format(id=identity, time=int(time.time()), **values) for line in lines]


def author_domain(message: bytes) -> str:
    """Returns the domain of the address in `From:`."""
    found = re.search(rb"(?im)^from:.*@([^>\s]+)", message.partition(b"\r\n\r\n")[0])
    return found[1].decode("utf-8", "replace").lower() if found else ""


def domain_of(address: str) -> str:
    """Returns what stands behind the `@`."""
    return address.rpartition("@")[2].lower()

"""The receivers: one SMTP server (RFC 5321) that is every host of the world.

A host behaves by its kind. Google's demands a forward-confirmed PTR record and
a pass of SPF, and refuses at a chosen stage in the words of a chosen year;
the neutral kind takes everything. Both know no user whose name begins with
`unknown`. Every decision goes into the ledger. Must not know what is expected.
"""

import secrets
import socket
import socketserver
import threading
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from . import dns, spf
from .ledger import Entry, Ledger
from .named import Named

STAGES = ["banner", "mail", "rcpt", "data", "end-of-data"]

WORDINGS = tomllib.loads((Path(__file__).parent / "wordings.toml").read_text())

# A dialogue that stands still longer than this is given up.
SESSION_SECONDS = 30


@dataclass(frozen=True)
class Behaviour:
    """How a host, or a host for one recipient domain, decides."""

    kind: str = "neutral"
    generation: str = "2016"
    stage: str = "end-of-data"


@dataclass(frozen=True)
class Host:
    """One host: its name and how it behaves."""

    name: str
    behaviour: Behaviour
    # Behaviour towards single recipient domains, where it differs.
    domains: dict[str, Behaviour] = field(default_factory=dict)

    def towards(self, domain: str) -> Behaviour:
        """Returns the behaviour towards mail for a domain."""
        return self.domains.get(domain, self.behaviour)


class Receivers:
    """Listens on every address of the world and answers as the host it belongs to."""

    def __init__(self, hosts: dict[str, Host], resolver: Named, ledger: Ledger) -> None:
        self.hosts = hosts
        self.resolver = resolver
        self.ledger = ledger

    def start(self) -> None:
        """Begins to listen; the threads end with the process."""
        for family, wildcard in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = _Server(family, wildcard, self)
            threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, family: socket.AddressFamily, wildcard: str, receivers: Receivers) -> None:
        self.address_family = family
        self.receivers = receivers
        super().__init__((wildcard, 25), _Session)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class _Session(socketserver.StreamRequestHandler):
    """One SMTP dialogue."""

    server: _Server
    timeout = SESSION_SECONDS

    def handle(self) -> None:
        """Speaks until the client quits or goes away."""
        self.peer = self.client_address[0]
        self.helo = ""
        self.host = self.server.receivers.hosts[self.connection.getsockname()[0]]
        self._forget()
        try:
            self._converse()
        except (OSError, dns.DnsError):
            # The client went away, or nothing can be judged: the connection breaks off.
            return

    def _converse(self) -> None:
        if refusal := self._judge("banner", self.host.behaviour):
            self._refuse("banner", refusal)
            return
        self._say([f"220 {self.host.name} ESMTP {_identity()} - gsmtp"])
        while line := self.rfile.readline(4096):
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    self.helo = rest
                    self._forget()
                    self._say([f"250-{self.host.name}", "250-PIPELINING", "250-8BITMIME", "250 ENHANCEDSTATUSCODES"])
                case "HELO":
                    self.helo = rest
                    self._forget()
                    self._say([f"250 {self.host.name}"])
                case "MAIL":
                    self._mail(rest)
                case "RCPT":
                    self._rcpt(rest)
                case "DATA":
                    self._data()
                case "RSET":
                    self._forget()
                    self._say(["250 2.1.5 Flushed"])
                case "NOOP":
                    self._say(["250 2.0.0 OK"])
                case "QUIT":
                    self._say(["221 2.0.0 closing connection"])
                    return
                case _:
                    self._say(["502 5.5.1 Unrecognized command"])

    def _mail(self, rest: str) -> None:
        self._forget()
        self.sender = _path(rest)
        if refusal := self._judge("mail", self.host.behaviour):
            self._refuse("mail", refusal)
            self.sender = None
        else:
            self._say(["250 2.1.0 OK"])

    def _rcpt(self, rest: str) -> None:
        recipient = _path(rest)
        if self.sender is None:
            self._say(["503 5.5.1 MAIL first"])
        elif recipient.startswith("unknown"):
            self._refuse("rcpt", _words("no-such-user"), recipient)
        elif refusal := self._judge("rcpt", self.host.towards(_domain(recipient))):
            self._refuse("rcpt", refusal, recipient)
        else:
            self.recipients.append(recipient)
            self._say(["250 2.1.5 OK"])

    def _data(self) -> None:
        if not self.recipients:
            self._say(["503 5.5.1 RCPT first"])
            return
        behaviours = [self.host.towards(_domain(recipient)) for recipient in self.recipients]
        refusals = [words for each in behaviours if (words := self._judge("data", each))]
        if refusals:
            self._refuse("data", refusals[0], *self.recipients)
            return
        self._say(["354 Go ahead"])
        message_id = self._read_message()
        if message_id is None:
            return
        refusals = [words for each in behaviours if (words := self._judge("end-of-data", each))]
        if refusals:
            self._refuse("end-of-data", refusals[0], *self.recipients, message_id=message_id)
        else:
            reply = _words("accepted")
            self._write("accepted", "end-of-data", reply, self.recipients, message_id)
            self._say(reply)
        self._forget()

    def _read_message(self) -> str | None:
        """Reads a message and returns its Message-ID; nothing if the client went away."""
        message_id, in_header = "", True
        while line := self.rfile.readline(65536):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text == ".":
                return message_id
            in_header = in_header and text != ""
            if in_header and text.lower().startswith("message-id:"):
                message_id = text.partition(":")[2].strip()
        return None

    def _judge(self, stage: str, behaviour: Behaviour) -> list[str] | None:
        """Returns the words of a refusal if this is the stage for one and there is a reason."""
        if behaviour.kind != "google" or behaviour.stage != stage:
            return None
        resolver = self.server.receivers.resolver
        demand = WORDINGS["no-ptr"][behaviour.generation]
        if self._family() in demand["families"] and not _confirmed(resolver, self.peer):
            return _fill(demand["reply"], address=self.peer)
        # At the banner nobody has said yet whose mail it is.
        if self._family() == 6 and stage != "banner":
            domain = _domain(self.sender or "") or self.helo
            if spf.check(resolver.lookup, self.peer, domain) != "pass":
                return _words("unauthenticated", address=self.peer, domain=domain)
        return None

    def _refuse(self, stage: str, reply: list[str], *recipients: str, message_id: str = "") -> None:
        self._write("refused", stage, reply, list(recipients) or [""], message_id)
        self._say(reply)

    def _write(self, event: str, stage: str, reply: list[str], recipients: list[str], message_id: str) -> None:
        for recipient in recipients:
            self.server.receivers.ledger.write(
                Entry(
                    event=event,
                    stage=stage,
                    host=self.host.name,
                    family=self._family(),
                    source=self.peer,
                    helo=self.helo,
                    sender=self.sender or "",
                    recipient=recipient,
                    domain=_domain(recipient),
                    message_id=message_id,
                    reply="\n".join(reply),
                )
            )

    def _say(self, lines: list[str]) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _forget(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []

    def _family(self) -> int:
        return 6 if self.server.address_family == socket.AF_INET6 else 4


def _confirmed(resolver: Named, address: str) -> bool:
    """Says whether a name of this address leads back to it (RFC 8601, 2.7.3, "iprev")."""
    kind = "AAAA" if ":" in address else "A"
    names = resolver.lookup(dns.reverse_name(address), "PTR")
    return any(address in resolver.lookup(name, kind) for name in names)


def _words(key: str, **values: str) -> list[str]:
    return _fill(WORDINGS[key]["reply"], **values)


def _fill(lines: list[str], **values: str) -> list[str]:
    identity, now = _identity(), str(int(time.time()))
    return [line.format(id=identity, time=now, **values) for line in lines]


def _identity() -> str:
    return f"{secrets.token_hex(3)}si{secrets.randbelow(10**7)}lab.{secrets.randbelow(500)}"


def _path(rest: str) -> str:
    """Returns the address between the angle brackets of MAIL or RCPT."""
    return rest.partition("<")[2].partition(">")[0]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()

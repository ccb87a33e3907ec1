"""The receivers: one SMTP server (RFC 5321) that is every host of the world.

Owns the dialogue; `policy.py` decides. Every decision goes into the ledger.
Must not know what is expected.
"""

import re
import select
import socket
import socketserver
import threading
import time
from dataclasses import dataclass, field

from . import dkim, dns, peer
from .ledger import Entry, Ledger
from .named import Named
from .policy import Behaviour, Judge, Mail, domain_of, words

# A dialogue that stands still longer than this is given up.
SESSION_SECONDS = 30
# How long a client may take to send the rest of what it sends at once.
BATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Host:
    """One host: its name and how it behaves."""

    name: str
    behaviour: Behaviour
    # Behaviour towards single recipients and domains, where it differs.
    special: dict[str, Behaviour] = field(default_factory=dict)

    def towards(self, recipient: str) -> Behaviour:
        """Returns the behaviour towards mail for an address or a domain."""
        return self.special.get(recipient) or self.special.get(domain_of(recipient), self.behaviour)


class Receivers:
    """Listens on every address of the world and answers as the host it belongs to."""

    def __init__(self, hosts: dict[str, Host], resolver: Named, ledger: Ledger) -> None:
        self.hosts = hosts
        self.judge = Judge(resolver.lookup)
        self.lookup = resolver.lookup
        self.ledger = ledger

    def start(self) -> None:
        """Begins to listen; the threads end with the process."""
        for family, wildcard in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = _Server(family, wildcard, self)
            threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, family: socket.AddressFamily, wildcard: str, receivers: Receivers) -> None:
        self.address_family = family
        self.receivers = receivers
        super().__init__((wildcard, 25), _Session)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class _Wire:
    """What the client sends, line by line, with a look at what it has sent already."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""

    def line(self) -> bytes:
        """Returns the next line with its end; nothing if the client went away."""
        while b"\n" not in self._buffer:
            if not self._receive():
                return b""
        line, end, self._buffer = self._buffer.partition(b"\n")
        return line + end

    def ahead(self) -> bytes:
        """Returns what came together with the last line (RFC 2920)."""
        if not self._buffer and select.select([self._connection], [], [], BATCH_SECONDS)[0]:
            self._receive()
        return self._buffer

    def message(self) -> bytes | None:
        """Returns a message up to the line with the dot; nothing if the client went away."""
        lines = []
        while line := self.line():
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line.removeprefix(b"."))
        return None

    def _receive(self) -> bool:
        data = self._connection.recv(65536)
        self._buffer += data
        return bool(data)


class _Session(socketserver.BaseRequestHandler):
    """One SMTP dialogue."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        """Speaks until the client quits or goes away."""
        self.request.settimeout(SESSION_SECONDS)
        self.wire = _Wire(self.request)
        self.receivers = self.server.receivers
        self.host = self.receivers.hosts[self.request.getsockname()[0]]
        self.mail = Mail(self.client_address[0])
        self.recipients: list[str] | None = None
        try:
            with self.receivers.judge.connected(self.host.behaviour, self.mail.address):
                self._converse()
        except (OSError, dns.DnsError):
            # The client went away, or nothing can be judged: the connection breaks off.
            return

    def _converse(self) -> None:
        # At the banner nobody has said yet whose mail it is.
        if refusal := self._refusal("banner", self.host.behaviour):
            self._refuse("banner", refusal, [""])
            return
        self._say(words(self.host.behaviour, "banner", host=self.host.name))
        going_on = True
        while going_on and (line := self.wire.line()):
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    self.mail.helo, self.recipients = rest, None
                    self._say([f"250-{self.host.name}", "250-PIPELINING", "250-8BITMIME", "250 ENHANCEDSTATUSCODES"])
                case "HELO":
                    self.mail.helo, self.recipients = rest, None
                    self._say([f"250 {self.host.name}"])
                case "MAIL":
                    going_on = self._mail(_path(rest))
                case "RCPT":
                    going_on = self._rcpt(_path(rest))
                case "DATA":
                    going_on = self._data()
                case "RSET":
                    self.recipients = None
                    self._say(["250 2.1.5 Flushed"])
                case "NOOP":
                    self._say(["250 2.0.0 OK"])
                case "QUIT":
                    self._say(["221 2.0.0 closing connection"])
                    return
                case _:
                    self._say(["502 5.5.1 Unrecognized command"])

    def _mail(self, sender: str) -> bool:
        self.mail.sender, self.recipients = sender, None
        behaviour = self.host.behaviour
        # Whose mail it is can be seen before it is said, as clients send all commands at once.
        if self.host.special and (first := re.search(rb"(?im)^RCPT TO:<([^>]*)>", self.wire.ahead())):
            behaviour = self.host.towards(first[1].decode("utf-8", "replace"))
        if refusal := self._refusal("mail", behaviour):
            return self._refuse("mail", refusal, [""])
        self.recipients = []
        return self._say(["250 2.1.0 OK"])

    def _rcpt(self, recipient: str) -> bool:
        if self.recipients is None:
            return self._say(["503 5.5.1 MAIL first"])
        if refusal := self._refusal("rcpt", self.host.towards(recipient), recipient):
            return self._refuse("rcpt", refusal, [recipient])
        self.recipients.append(recipient)
        return self._say(["250 2.1.5 OK"])

    def _data(self) -> bool:
        recipients, self.recipients = self.recipients, None
        if not recipients:
            return self._say(["503 5.5.1 RCPT first"])
        if refusal := self._refusal_of_any("data", recipients):
            return self._refuse("data", refusal, recipients)
        self._say(["354 Go ahead"])
        message = self.wire.message()
        if message is None:
            return False
        self.mail.message = message
        time.sleep(self.host.behaviour.slow)
        if refusal := self._refusal_of_any("end-of-data", recipients):
            return self._refuse("end-of-data", refusal, recipients)
        reply = words(self.host.towards(recipients[0]), "accepted")
        self._write("accepted", "end-of-data", reply, recipients)
        self.mail.message = b""
        return self._say(reply)

    def _refusal_of_any(self, stage: str, recipients: list[str]) -> list[str] | None:
        refusals = (self._refusal(stage, self.host.towards(each), each) for each in recipients)
        return next(filter(None, refusals), None)

    def _refusal(self, stage: str, behaviour: Behaviour, recipient: str = "") -> list[str] | None:
        self.mail.recipient = recipient
        return self.receivers.judge.refusal(behaviour, stage, self.mail)

    def _refuse(self, stage: str, reply: list[str], recipients: list[str]) -> bool:
        self._write("refused", stage, reply, recipients)
        self.mail.message = b""
        self._say(reply)
        # RFC 5321, 3.8: who says 421 closes the connection.
        return not reply[-1].startswith("421")

    def _write(self, event: str, stage: str, reply: list[str], recipients: list[str]) -> None:
        message = self.mail.message
        found = re.search(rb"(?im)^message-id:[ \t]*(\S+)", message.partition(b"\r\n\r\n")[0])
        signature = dkim.check(self.receivers.lookup, message) if message else ""
        signatures = peer.signatures(self.receivers.lookup, message) if message else ""
        for recipient in recipients:
            self.receivers.ledger.write(
                Entry(
                    event=event,
                    stage=stage,
                    host=self.host.name,
                    family=self.mail.family,
                    source=self.mail.address,
                    helo=self.mail.helo,
                    sender=self.mail.sender,
                    recipient=recipient,
                    message_id=found[1].decode("utf-8", "replace") if found else "",
                    dkim=signature,
                    signatures=signatures,
                    reply="\n".join(reply),
                )
            )

    def _say(self, lines: list[str]) -> bool:
        self.request.sendall("".join(f"{line}\r\n" for line in lines).encode())
        return True


def _path(rest: str) -> str:
    """Returns the address between the angle brackets of MAIL or RCPT."""
    return rest.partition("<")[2].partition(">")[0]

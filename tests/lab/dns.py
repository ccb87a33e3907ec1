"""A small DNS client: the questions receivers ask about a sender.

Owns the message format as far as it is needed (RFC 1035, 4; EDNS(0) only to
get long TXT answers in one datagram, RFC 6891). Must not know about mail.
"""

import ipaddress
import secrets
import socket
import struct

TYPES = {"A": 1, "NS": 2, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NUMBERS = {number: name for name, number in TYPES.items()}

# The largest answer taken in one datagram.
DATAGRAM = 4096
# How long the laboratory's own server may take, and how often it is asked.
TIMEOUT_SECONDS = 2
TRIES = 3


class DnsError(Exception):
    """The server could not be asked, or answered with an error other than NXDOMAIN."""


def lookup(server: str, name: str, kind: str) -> list[str]:
    """Returns the data of every record of this name and type, empty when there is none."""
    identity = secrets.randbelow(1 << 16)
    header = struct.pack(">HHHHHH", identity, 0x0100, 1, 0, 0, 1)
    question = _encode(name) + struct.pack(">HH", TYPES[kind], 1)
    edns = b"\0" + struct.pack(">HHIH", 41, DATAGRAM, 0, 0)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(TIMEOUT_SECONDS)
        wire.connect((server, 53))
        for _ in range(TRIES):
            try:
                wire.send(header + question + edns)
                answer = wire.recv(DATAGRAM)
            except OSError:
                continue
            if answer[:2] == header[:2]:
                return _records(answer, name, kind)
    raise DnsError(f"no answer from {server} about {name} {kind}")


def reverse_name(address: str) -> str:
    """Returns the name under which the PTR record of an address stands."""
    return ipaddress.ip_address(address).reverse_pointer


def _records(message: bytes, name: str, kind: str) -> list[str]:
    _, flags, questions, answers, _, _ = struct.unpack(">HHHHHH", message[:12])
    status = flags & 0xF
    if status == 3:  # NXDOMAIN
        return []
    if status != 0 or flags & 0x0200:
        raise DnsError(f"{name} {kind}: status {status}, flags {flags:#06x}")
    at = 12
    for _ in range(questions):
        _, at = _decode(message, at)
        at += 4
    found = []
    for _ in range(answers):
        _, at = _decode(message, at)
        number, _, _, length = struct.unpack(">HHIH", message[at : at + 10])
        at += 10
        if number == TYPES[kind]:
            found.append(_data(message, at, length, kind))
        at += length
    return found


def _data(message: bytes, at: int, length: int, kind: str) -> str:
    raw = message[at : at + length]
    match kind:
        case "A" | "AAAA":
            return str(ipaddress.ip_address(raw))
        case "PTR" | "NS":
            return _decode(message, at)[0]
        case "MX":
            return f"{struct.unpack('>H', raw[:2])[0]} {_decode(message, at + 2)[0]}"
        case "SOA":
            _, after = _decode(message, at)
            _, after = _decode(message, after)
            return str(struct.unpack(">I", message[after : after + 4])[0])
        case "TXT":
            text = b""
            while raw:
                text += raw[1 : 1 + raw[0]]
                raw = raw[1 + raw[0] :]
            return text.decode("utf-8", "replace")
    raise DnsError(f"records of type {kind} are not read")


def _encode(name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _decode(message: bytes, at: int) -> tuple[str, int]:
    """Reads a name, following compression (RFC 1035, 4.1.4); returns it and where it ends."""
    labels, end = [], None
    for _ in range(128):
        length = message[at]
        if length >= 0xC0:
            end = at + 2 if end is None else end
            at = struct.unpack(">H", message[at : at + 2])[0] & 0x3FFF
        elif length == 0:
            return ".".join(labels).lower(), at + 1 if end is None else end
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    raise DnsError("a name that points to itself")

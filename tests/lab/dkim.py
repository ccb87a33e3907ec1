"""DKIM as a receiver checks it (RFC 6376), and a signer to be checked by it.

Knows `rsa-sha256` with both canonicalizations, which is all that receivers see
in practice; the arithmetic is Python's own. Must not know what follows from a
result.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

Lookup = Callable[[str, str], list[str]]

# RFC 8017, 9.2, note 1: what stands before a SHA-256 digest in a signature.
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


@dataclass(frozen=True)
class Key:
    """An RSA key; `private` is 0 where only the public half is known."""

    modulus: int
    public: int
    private: int = 0


class DkimError(Exception):
    """A signature or a key that cannot be read; the text says why."""


def check(lookup: Lookup, message: bytes) -> str:
    """Returns `pass` if one signature of the message holds, else the result of the last one, or `none`."""
    fields, body = _split(message)
    result = "none"
    for number, field in enumerate(fields):
        if _name(field) != b"dkim-signature":
            continue
        others = fields[:number] + fields[number + 1 :]
        try:
            result = _check_one(lookup, field, others, body)
        except DkimError as error:
            result = f"permerror ({error})"
        if result == "pass":
            return result
    return result


def sign(message: bytes, key: Key, domain: str, selector: str, names: list[str]) -> bytes:
    """Returns the message with a signature on top, made over these fields, relaxed in all."""
    fields, body = _split(message)
    digest = base64.b64encode(hashlib.sha256(_relaxed_body(body)).digest()).decode()
    value = (
        f"v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector};"
        f" h={':'.join(names)}; bh={digest}; b="
    )
    field = f"DKIM-Signature: {value}".encode()
    data = _signed_data(fields, names, field, relaxed=True)
    length = (key.modulus.bit_length() + 7) // 8
    number = pow(int.from_bytes(_padded(data, length)), key.private, key.modulus)
    return field + base64.b64encode(number.to_bytes(length)) + b"\r\n" + message


def private_key(pem: str) -> Key:
    """Reads an RSA key as `openssl genrsa` writes it, or in PKCS #8 (RFC 5208)."""
    der = base64.b64decode("".join(line for line in pem.split("\n") if "-----" not in line))
    parts = _sequence(der)
    if parts[1][0] == 0x30:  # the algorithm's name: the key itself lies one level deeper
        parts = _sequence(parts[2][1])
    modulus, public, private = (int.from_bytes(content) for _, content in parts[1:4])
    return Key(modulus, public, private)


def _check_one(lookup: Lookup, field: bytes, fields: list[bytes], body: bytes) -> str:
    tags = _tags(field.partition(b":")[2].decode("ascii", "replace"))
    for needed in ("v", "a", "b", "bh", "d", "h", "s"):
        if needed not in tags:
            raise DkimError(f"no tag {needed}=")
    if tags["a"] != "rsa-sha256":
        raise DkimError(f"algorithm {tags['a']}")
    names = [name.strip() for name in tags["h"].split(":")]
    if "from" not in [name.lower() for name in names]:
        raise DkimError("From is not signed")
    of_header, _, of_body = tags.get("c", "simple/simple").partition("/")
    canonical_body = _relaxed_body(body) if of_body == "relaxed" else _simple_body(body)
    if "l" in tags:
        canonical_body = canonical_body[: int(tags["l"])]
    digest = base64.b64encode(hashlib.sha256(canonical_body).digest()).decode()
    if digest != _squeezed(tags["bh"]):
        return "fail (body has changed)"
    key = _published(lookup, tags["s"], tags["d"])
    unsigned = re.sub(rb"(?i)([:;]\s*b\s*=)[^;]*", rb"\1", field)
    data = _signed_data(fields, names, unsigned, relaxed=of_header == "relaxed")
    length = (key.modulus.bit_length() + 7) // 8
    number = pow(int.from_bytes(base64.b64decode(_squeezed(tags["b"]))), key.public, key.modulus)
    return "pass" if number.to_bytes(length) == _padded(data, length) else "fail (signature does not match)"


def _published(lookup: Lookup, selector: str, domain: str) -> Key:
    records = lookup(f"{selector}._domainkey.{domain}", "TXT")
    if len(records) != 1:
        raise DkimError(f"{len(records)} key records")
    tags = _tags(records[0])
    if tags.get("v", "DKIM1") != "DKIM1" or tags.get("k", "rsa") != "rsa":
        raise DkimError("not an RSA key")
    if not tags.get("p"):
        raise DkimError("the key is revoked")
    try:
        # SubjectPublicKeyInfo: the algorithm, and a bit string whose first byte counts unused bits.
        inside = _sequence(base64.b64decode(_squeezed(tags["p"])))[1][1][1:]
        modulus, public = (int.from_bytes(content) for _, content in _sequence(inside))
    except (ValueError, IndexError) as error:
        raise DkimError("the key cannot be read") from error
    return Key(modulus, public)


def _signed_data(fields: list[bytes], names: list[str], signature: bytes, relaxed: bool) -> bytes:
    """Returns what the signature is made over (RFC 6376, 3.7); of several fields the lowest goes first."""
    canonical = _relaxed_field if relaxed else (lambda field: field)
    left = list(fields)
    data = b""
    for name in names:
        at = next((n for n in reversed(range(len(left))) if _name(left[n]) == name.lower().encode()), None)
        if at is not None:
            data += canonical(left.pop(at)) + b"\r\n"
    return data + canonical(signature)


def _padded(data: bytes, length: int) -> bytes:
    """Returns the block that is signed for this data (RFC 8017, 9.2)."""
    tail = SHA256_PREFIX + hashlib.sha256(data).digest()
    return b"\0\1" + b"\xff" * (length - len(tail) - 3) + b"\0" + tail


def _split(message: bytes) -> tuple[list[bytes], bytes]:
    """Returns the fields of the header, each without its last line end, and the body."""
    header, _, body = message.partition(b"\r\n\r\n")
    return re.split(rb"\r\n(?![ \t])", header), body


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def _relaxed_field(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    return name.strip().lower() + b":" + re.sub(rb"\s+", b" ", value).strip()


def _simple_body(body: bytes) -> bytes:
    return re.sub(rb"(\r\n)*\Z", b"", body) + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)


def _tags(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(";")]
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def _sequence(der: bytes) -> list[tuple[int, bytes]]:
    """Returns tag and content of each member of a DER sequence (X.690, 8.1)."""
    _, content, _ = _element(der, 0)
    members, at = [], 0
    while at < len(content):
        tag, inside, at = _element(content, at)
        members.append((tag, inside))
    return members


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(der[at : at + size]), at + size
    return tag, der[at : at + length], at + length

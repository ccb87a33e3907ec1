"""A second opinion on signatures: dkimpy, which shares no line with what signs or checks here.

Owns where it is found: in `target/python`, which `script/python` makes. Must not
know what follows from its words.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

PACKAGES = Path(__file__).parents[2] / "target/python"

Lookup = Callable[[str, str], list[str]]


def missing() -> str:
    """Says what keeps it from being asked; nothing when all is well."""
    return "" if _dkimpy() else "dkimpy and PyNaCl: `script/python` makes `target/python`"


def signatures(lookup: Lookup, message: bytes) -> str:
    """Returns a word for each signature of a message, from the top: `rsa-sha256:SELECTOR=pass`."""
    dkimpy = _dkimpy()
    if not dkimpy:
        return "unasked"
    header = message.partition(b"\r\n\r\n")[0]
    fields = [field for field in re.split(rb"\r\n(?![ \t])", header) if field.lower().startswith(b"dkim-signature:")]
    return " ".join(_one(dkimpy, lookup, message, at, field) for at, field in enumerate(fields)) or "none"


def _one(dkimpy, lookup: Lookup, message: bytes, at: int, field: bytes) -> str:
    tags = dict(re.findall(r"\b(a|s)=\s*([^;\s]+)", field.decode("ascii", "replace")))

    def published(name: bytes, timeout: int = 5) -> bytes | None:
        records = lookup(name.decode().rstrip("."), "TXT")
        return records[0].encode() if records else None

    try:
        held = dkimpy.DKIM(message).verify(idx=at, dnsfunc=published)
        result = "pass" if held else "fail"
    except dkimpy.DKIMException as error:
        result = f"error({error})".replace(" ", "-")
    return f"{tags.get('a', '?')}:{tags.get('s', '?')}={result}"


def _dkimpy():
    for place in PACKAGES.glob("lib/python3.*/site-packages"):
        if str(place) not in sys.path:
            sys.path.append(str(place))
    try:
        import dkim
        import nacl.signing  # noqa: F401
    except ImportError:
        return None
    return dkim

"""The SPF check of a receiver (RFC 7208), as far as a laboratory needs it:
`ip4 ip6 a mx include all` without macros, and `redirect`."""

import ipaddress
from collections.abc import Callable

Lookup = Callable[[str, str], list[str]]

RESULTS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
# RFC 7208, 4.6.4
LOOKUP_LIMIT = 10


def check(lookup: Lookup, address: str, domain: str, depth: int = 0) -> str:
    """Returns the result for mail from `domain` that comes from `address`."""
    policies = [text for text in lookup(domain, "TXT") if text.lower().split(" ")[0] == "v=spf1"]
    if not policies:
        return "none"
    if len(policies) > 1 or depth > LOOKUP_LIMIT:
        return "permerror"
    redirect = None
    for term in policies[0].split()[1:]:
        if term.lower().startswith("redirect="):
            redirect = term.partition("=")[2]
            continue
        qualifier, mechanism = (term[0], term[1:]) if term[0] in RESULTS else ("+", term)
        if _matches(lookup, address, domain, mechanism, depth):
            return RESULTS[qualifier]
    return check(lookup, address, redirect, depth + 1) if redirect else "neutral"


def _matches(lookup: Lookup, address: str, domain: str, mechanism: str, depth: int) -> bool:
    name, _, value = mechanism.partition(":")
    target = value or domain
    match name.lower():
        case "all":
            return True
        case "ip4" | "ip6":
            return ipaddress.ip_address(address) in ipaddress.ip_network(value, strict=False)
        case "a":
            return address in _addresses(lookup, target)
        case "mx":
            hosts = [line.split()[1] for line in lookup(target, "MX")]
            return any(address in _addresses(lookup, host) for host in hosts)
        case "include":
            return check(lookup, address, value, depth + 1) == "pass"
    return False


def _addresses(lookup: Lookup, host: str) -> list[str]:
    return lookup(host, "A") + lookup(host, "AAAA")

"""A world: one TOML file that says what there is, what is done, what must come of it.

Owns the file's schema. An unknown key or a value of the wrong type is an error
that names the file and the place. Must not know how anything is done.
"""

import ipaddress
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import dns, matrix, release
from .cage import LabError
from .policy import GENERATIONS, KINDS, STAGES, Behaviour
from .receiver import Host

HERE = Path(__file__).parent
WORLDS = HERE / "worlds"
MATRIX = HERE / "matrix.toml"

# What stands for the program in the words of a command.
PROGRAM_MARKS = ["@MAILFIX@", "@INIT@", "@DOCTOR@"]

# Documentation networks (RFC 5737, RFC 3849): what leaks out of a laboratory goes nowhere.
SENDER_IPV4, SENDER_IPV6 = "192.0.2.10", "2001:db8::10"
NAMED_IPV4, NAMED_IPV6 = "192.0.2.53", "2001:db8::53"
FIRST_HOST = 100

HOST_NAME = "mail.sender.example"
DOMAIN = "sender.example"

# What can come of messages. "stuck": the delivery agent dies and the log has no
# status line. "mixed": of several, some bounce and all others arrive over IPv4.
# "slowed": some arrive over IPv4 and all others wait.
OUTCOMES = ["ipv4", "ipv6", "bounced", "deferred", "stuck", "mixed", "slowed"]

# What each verb of a step takes besides itself: key and type.
VERBS: dict[str, dict[str, type]] = {
    "send": {"each": int, "says": dict, "within": int, "signed": dict, "via": str, "by": str, "from": str},
    "returned": {"within": int},
    "flush": {"says": dict, "within": int},
    "run": {"status": int, "has": list, "lacks": list, "within": int, "publish": list},
    "files": {},
    "snapshot": {"paths": list},
    "same": {"mtimes": bool},
    "keeps": {"without": list},
    "contains": {"has": list, "lacks": list},
    "postfix": {},
    "dns": {},
    "log": {"lacks": list},
    "doctor": {"also": list, "notes": list, "lacks": list, "alone": bool, "status": int, "with": list, "within": int},
}
VALUES: dict[str, type] = {
    "send": dict,
    "returned": dict,
    "flush": dict,
    "run": list,
    "files": dict,
    "snapshot": str,
    "same": str,
    "keeps": str,
    "contains": str,
    "postfix": str,
    "dns": dict,
    "log": list,
    "doctor": str,
}
POSTFIX_WORDS = ["start", "stop", "reload", "running", "stopped", "empty-queue"]


# The keys that say how a receiver decides.
BEHAVIOUR: dict[str, type] = dict(Behaviour.__annotations__)


@dataclass(frozen=True)
class SenderSettings:
    """How the sending machine is set up before the first step."""

    config_directory: str = "/etc/postfix"
    queue_directory: str = "/var/spool/postfix"
    # Its IPv6 addresses; mail leaves from the last one where nothing says otherwise.
    ipv6: list[str] = field(default_factory=lambda: [SENDER_IPV6])
    data_directory: str = "/var/lib/postfix"
    # Whether Postfix's files are those of the package's own set-up, started the way Debian
    # does it; else main.cf is the laboratory's, and the chroot column as said below.
    shipped: bool = False
    # The chroot column of every service that Debian ships chrooted: y, n or -.
    chroot: str = "n"
    # Whether the jail is filled the way Debian's start script does it.
    filled_jail: bool = False
    # Settings of main.cf by name; `false` leaves a stock one out.
    parameters: dict[str, Any] = field(default_factory=dict)
    # Text added at the end of main.cf and master.cf.
    main_cf: str = ""
    master_cf: str = ""
    # Further files: path and content.
    files: dict[str, str] = field(default_factory=dict)
    # Commands run before Postfix is started for the first time.
    commands: list[list[str]] = field(default_factory=list)
    started: bool = True


@dataclass(frozen=True)
class Step:
    """One thing done, and what must come of it."""

    verb: str
    value: Any
    options: dict[str, Any]


@dataclass(frozen=True)
class World:
    """Everything a world file says."""

    name: str
    title: str
    # The releases of Debian it is written for; none: any.
    postfix: list[str]
    sender: SenderSettings
    # Hosts by address.
    hosts: dict[str, Host]
    records: list[str]
    steps: list[Step]
    # Whether it is one of the few that every run of the tests goes through.
    ci: bool
    # What this machine needs for it beside Postfix: programs of Debian's, `dkimpy`.
    needs: list[str] = field(default_factory=list)

    def suits(self, name: str) -> bool:
        """Says whether it can be run on a release."""
        level = str(self.sender.parameters.get("compatibility_level", ""))
        known = "." not in level or name not in release.PLAIN_LEVELS
        return known and (name in self.postfix or not self.postfix)

    @property
    def needs_mailfix(self) -> bool:
        """Says whether the program itself takes part in this world."""
        runs = [step.value for step in self.steps if step.verb == "run"]
        if any(step.verb == "doctor" for step in self.steps):
            return True
        return any(mark in word for run in runs + self.sender.commands for word in run for mark in PROGRAM_MARKS)


def names() -> list[str]:
    """Returns the name of every world."""
    return sorted(path.stem for path in WORLDS.glob("*.toml")) + matrix.names(_read(MATRIX))


def load(name: str) -> World:
    """Reads a world and the internet it lies in."""
    path = WORLDS / f"{name}.toml"
    if name in matrix.names(_read(MATRIX)):
        own, place = matrix.expand(_read(MATRIX), name), f"{name}:"
    elif path.is_file():
        own, place = _read(path), f"{path.name}:"
    else:
        raise LabError(f"there is no world `{name}`; there are: {', '.join(names())}")
    internet = _read(HERE / "internet.toml")
    _only(
        own,
        place,
        title=str,
        ci=bool,
        needs=list,
        postfix=list,
        sender=dict,
        receivers=dict,
        domains=dict,
        recipients=dict,
        dns=dict,
        step=list,
    )
    receivers = _merge(internet["receivers"], own.get("receivers", {}))
    domains = _merge(internet["domains"], own.get("domains", {}))
    hosts, records = _hosts(receivers, domains, own.get("recipients", {}), place)
    return World(
        name=name,
        title=_need(own, "title", place),
        ci=own.get("ci", False),
        needs=own.get("needs", []),
        postfix=_releases(own.get("postfix", []), place),
        sender=_sender(own.get("sender", {}), f"{place} sender"),
        hosts=hosts,
        records=records + _records(internet["dns"], own.get("dns", {}), f"{place} dns"),
        steps=[_step(table, f"{place} step {number}") for number, table in enumerate(own.get("step", []), 1)],
    )


def ptr_record(address: str, name: str) -> str:
    """Returns the PTR record that gives an address a name."""
    return f"{dns.reverse_name(address)}. PTR {name}."


def _releases(named: list[str], place: str) -> list[str]:
    for each in named:
        if each not in release.RELEASES:
            raise LabError(f"{place} postfix: `{each}` is none of {', '.join(release.RELEASES)}")
    return named


def _sender(table: dict[str, Any], place: str) -> SenderSettings:
    types = {name: _plain(kind) for name, kind in SenderSettings.__annotations__.items()}
    _only(table, place, **types)
    settings = SenderSettings(**table)
    if settings.shipped and "chroot" in table:
        raise LabError(f"{place}: `shipped` means that `chroot` is the package's")
    if settings.chroot not in ("y", "n", "-"):
        raise LabError(f"{place}: chroot is y, n or -, not `{settings.chroot}`")
    for address in settings.ipv6:
        try:
            ipaddress.IPv6Address(address)
        except ValueError as error:
            raise LabError(f"{place}: {error}") from error
    return settings


def _hosts(
    receivers: dict[str, Any], domains: dict[str, Any], recipients: dict[str, Any], place: str
) -> tuple[dict[str, Host], list[str]]:
    """Gives every host its addresses; returns hosts by address, and the records that say so."""
    special = {}
    records = []
    for domain, table in domains.items():
        where = f"{place} domains.{domain}"
        _only(table, where, mx=list, **BEHAVIOUR)
        special[domain] = {key: value for key, value in table.items() if key != "mx"}
        records += [f"{domain}. MX {mx}." for mx in _need(table, "mx", where)]
    for recipient, table in recipients.items():
        _only(table, f"{place} recipients.{recipient}", **BEHAVIOUR)
        special[recipient] = {**special.get(recipient.rpartition("@")[2], {}), **table}
    hosts: dict[str, Host] = {}
    number = FIRST_HOST
    for name, table in receivers.items():
        where = f"{place} receivers.{name}"
        _only(table, where, hosts=list, families=list, **BEHAVIOUR)
        own = {key: value for key, value in table.items() if key in BEHAVIOUR}
        by_key = {key: _behaviour({**own, **differs}, where) for key, differs in special.items() if differs}
        for host_name in _need(table, "hosts", where):
            host = Host(host_name, _behaviour(own, where), by_key)
            for family, kind, address in ((4, "A", f"192.0.2.{number}"), (6, "AAAA", f"2001:db8::{number}")):
                if family in table.get("families", [4, 6]):
                    hosts[address] = host
                    records.append(f"{host_name}. {kind} {address}")
            number += 1
    return hosts, records


def _behaviour(table: dict[str, Any], place: str) -> Behaviour:
    behaviour = Behaviour(**table)
    for value, allowed in (
        (behaviour.kind, KINDS),
        (behaviour.generation, GENERATIONS),
        (behaviour.stage, STAGES),
    ):
        if value not in allowed:
            raise LabError(f"{place}: `{value}` is none of {', '.join(allowed)}")
    return behaviour


def _records(stock: dict[str, Any], own: dict[str, Any], place: str) -> list[str]:
    _only(own, place, records=list, without=list, ptr=dict)
    records = list(stock["records"])
    for pattern in own.get("without", []):
        words = pattern.split()
        fewer = [record for record in records if record.split()[: len(words)] != words]
        if fewer == records:
            raise LabError(f"{place}: there is no record `{pattern}` to go without")
        records = fewer
    ptr = {**stock["ptr"], **own.get("ptr", {})}
    records += own.get("records", [])
    return records + [ptr_record(address, name) for address, name in ptr.items() if name]


def _step(table: dict[str, Any], place: str) -> Step:
    verbs = [key for key in table if key in VERBS]
    if len(verbs) != 1:
        raise LabError(f"{place}: needs exactly one of {', '.join(VERBS)}")
    verb = verbs[0]
    _only(table, place, **{verb: VALUES[verb]}, **VERBS[verb])
    if verb in ("send", "flush", "returned"):
        for recipient, outcome in table[verb].items():
            if outcome not in OUTCOMES:
                raise LabError(f"{place}: `{outcome}` of {recipient} is none of {', '.join(OUTCOMES)}")
        for recipient in table.get("says", {}):
            if recipient not in table[verb]:
                raise LabError(f"{place}: says something of {recipient}, to whom nothing is sent")
    if "signed" in table:
        _only(table["signed"], place, key=str, selector=str, domain=str)
    if verb == "postfix" and table["postfix"] not in POSTFIX_WORDS:
        raise LabError(f"{place}: `{table['postfix']}` is none of {', '.join(POSTFIX_WORDS)}")
    if verb == "dns":
        _only(table["dns"], place, add=list, remove=list, ptr=dict)
    return Step(verb, table[verb], {key: value for key, value in table.items() if key != verb})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"{path.name}: {error}") from error


def _merge(stock: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lays a world's tables over the stock ones, key by key."""
    return {key: {**stock.get(key, {}), **own.get(key, {})} for key in [*stock, *(k for k in own if k not in stock)]}


def _only(table: dict[str, Any], place: str, **allowed: type) -> None:
    for key, value in table.items():
        if key not in allowed:
            raise LabError(f"{place}: unknown key `{key}`; there are: {', '.join(allowed)}")
        if not isinstance(value, allowed[key]):
            raise LabError(f"{place}: `{key}` must be a {allowed[key].__name__}, not {value!r}")


def _need(table: dict[str, Any], key: str, place: str) -> Any:
    if key not in table:
        raise LabError(f"{place} lacks the key `{key}`")
    return table[key]


def _plain(annotation: Any) -> type:
    """Returns the bare type of an annotation, `dict` for `dict[str, str]`."""
    return getattr(annotation, "__origin__", annotation)

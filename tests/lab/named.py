"""The name server: BIND, alone in its world, root of all names.

Owns its configuration, its zones and their changes. Must not know what the
records are for.
"""

import itertools
import signal
import subprocess
from pathlib import Path

from . import dns
from .cage import LabError, shell
from .waiting import until

# The one directory in which every packaging of BIND, confined or not, lets it write.
DIRECTORY = Path("/var/cache/bind")

# How much of its log is shown when it does not serve.
LOG_LINES = 8

CONFIGURATION = """\
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {ipv4}; }};
    listen-on-v6 {{ {ipv6}; }};
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation no;
    empty-zones-enable no;
    minimal-responses yes;
    notify no;
}};
controls {{ }};
"""


class Named:
    """A running name server whose records can be changed."""

    def __init__(self, ipv4: str, ipv6: str, log: Path) -> None:
        self.address = ipv4
        self.ipv6 = ipv6
        self.log = log
        self.records: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._serials = itertools.count(1)

    def lookup(self, name: str, kind: str) -> list[str]:
        """Asks this server."""
        return dns.lookup(self.address, name, kind)

    def start(self, records: list[str]) -> None:
        """Starts the server with these records and waits until it answers."""
        shell("mount", "-t", "tmpfs", "-o", "mode=0755", "lab-named", DIRECTORY)
        zones, serial = self._write(records)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["named", "-g", "-c", str(DIRECTORY / "named.conf")], stdout=log, stderr=log
            )
        self._wait(zones, serial)

    def change(self, add: list[str], remove: list[str]) -> None:
        """Adds records and takes others away, given as `NAME TYPE` or the whole record."""
        kept = list(self.records)
        for pattern in remove:
            words = pattern.split()
            fewer = [record for record in kept if record.split()[: len(words)] != words]
            if fewer == kept:
                raise LabError(f"there is no record `{pattern}` to remove")
            kept = fewer
        zones, serial = self._write(kept + add)
        assert self.process is not None, "changed before it was started"
        self.process.send_signal(signal.SIGHUP)
        self._wait(zones, serial)

    def _write(self, records: list[str]) -> tuple[list[str], int]:
        self.records = list(records)
        # A zone is not loaded without an address for a name server inside it.
        zones = {".": [f"ns.test. A {self.address}", f"ns.test. AAAA {self.ipv6}"]}
        for record in records:
            zones.setdefault(_zone_of(record.split()[0]), []).append(record)
        serial = next(self._serials)
        configuration = CONFIGURATION.format(directory=DIRECTORY, ipv4=self.address, ipv6=self.ipv6)
        for number, (zone, lines) in enumerate(sorted(zones.items())):
            head = ["$TTL 5", f"{zone} SOA ns.test. hostmaster.test. {serial} 60 60 600 5", f"{zone} NS ns.test."]
            (DIRECTORY / f"zone-{number}").write_text("\n".join(head + lines) + "\n")
            configuration += f'zone "{zone}" {{ type primary; file "zone-{number}"; }};\n'
        (DIRECTORY / "named.conf").write_text(configuration)
        return list(zones), serial

    def _wait(self, zones: list[str], serial: int) -> None:
        def loaded() -> bool:
            if self.process is None or self.process.poll() is not None:
                raise LabError("named ended")
            try:
                return all(self.lookup(zone, "SOA") == [str(serial)] for zone in zones)
            except dns.DnsError:
                return False

        try:
            until("named to load its zones", loaded)
        except LabError as error:
            last_lines = self.log.read_text().splitlines()[-LOG_LINES:]
            raise LabError("\n".join([f"{error}; its log ends:", *last_lines])) from error


def _zone_of(name: str) -> str:
    """Returns the zone a name belongs to: the reverse zone, or its last two labels."""
    if not name.endswith("."):
        raise LabError(f"the name `{name}` of a record must end in a dot")
    labels = name.lower().rstrip(".").split(".")
    size = 5 if name.endswith(".in-addr.arpa.") else 10 if name.endswith(".ip6.arpa.") else 2
    return ".".join(labels[-size:]) + "."

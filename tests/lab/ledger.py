"""The ledger: every message a receiver accepted or refused, one JSON line each."""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """What one receiver decided about one recipient (or, at the banner, about nobody yet)."""

    event: str  # "accepted" or "refused"
    stage: str
    host: str
    family: int
    source: str
    helo: str
    sender: str
    recipient: str
    message_id: str
    # What the receiver found of a signature; empty while there is no message.
    dkim: str
    # What a second opinion says of each.
    signatures: str
    reply: str


class Ledger:
    """Holds the entries; receivers write from many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def write(self, entry: Entry) -> None:
        """Adds an entry, here and on disk."""
        line = json.dumps({"time": round(time.time(), 3), **asdict(entry)})
        with self._lock, self._path.open("a") as file:
            self._entries.append(entry)
            file.write(line + "\n")

    def accepted(self, message_id: str, recipient: str) -> list[Entry]:
        """Returns every time this message was accepted for this recipient."""
        with self._lock:
            return [
                entry
                for entry in self._entries
                if (entry.event, entry.message_id, entry.recipient) == ("accepted", message_id, recipient)
            ]

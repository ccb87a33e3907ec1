"""What Postfix's log says became of a message."""

import re
from dataclasses import dataclass

_QUEUED = re.compile(r"postfix\S*/cleanup\[\d+\]: (\w+): message-id=(\S+)")
_STATUS = re.compile(r"postfix\S*\[\d+\]: (\w+): to=<([^>]*)>,.* relay=([^,]*),.* dsn=([^,]*), status=(\w+) \((.*)\)$")
_DEAD = re.compile(r"malformed response|throttling|fatal: ")


@dataclass(frozen=True)
class Status:
    """One status line."""

    word: str
    relay: str
    dsn: str
    text: str


def statuses(log: str, message_id: str, recipient: str) -> list[Status]:
    """Returns every status line about a message and a recipient, oldest first.

    What a content filter on the machine itself took is still on its way.
    """
    queue_ids = {found[1] for line in log.splitlines() if (found := _QUEUED.search(line)) and found[2] == message_id}
    return [
        Status(word=found[5], relay=found[3], dsn=found[4], text=found[6])
        for line in log.splitlines()
        if (found := _STATUS.search(line)) and found[1] in queue_ids and found[2] == recipient and "[127.0.0.1]:" not in found[3]
    ]


def dying_agent(log: str) -> str:
    """Returns what the log says of an agent that died, which leaves no status line; empty if none did."""
    return next((line for line in log.splitlines() if _DEAD.search(line)), "")

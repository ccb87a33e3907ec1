"""What `mailfix doctor` said: its findings, whether they are what a world planted, and the command to mend it.

Owns how its JSON is read. Must not know how a command is run.
"""

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

# What a world writes where nothing may be found.
NOTHING = "nothing"

# What the commands of mailfix ask that write, and how records are printed for a program.
ANSWERS = dict.fromkeys(["apply", "diagnose", "dkim new", "dkim rotate", "refresh", "undo"], "--no-input --yes")
ANSWERS["dns show"] = "--json"


class Unreadable(Exception):
    """What was printed is not what the program documents."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, as it stands in the list."""

    code: str
    severity: str
    commands: list[str]


def findings(output: str) -> list[Finding]:
    """Reads the list, worst first."""
    try:
        return [Finding(each["code"], each["severity"], each["commands"]) for each in json.loads(output)["findings"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"no list of findings: {error!r}") from error


def problems(found: list[Finding], status: int, first: str, options: dict[str, Any]) -> list[str]:
    """Returns what of the list is not as expected, each as a phrase."""
    codes = [each.code for each in found]
    wrong = []
    if first == NOTHING:
        wrong += [f"found {', '.join(codes)}"] if codes else []
    elif not codes:
        wrong.append(f"found nothing, not even `{first}`")
    elif codes[0] != first:
        at = f"is number {codes.index(first) + 1}" if first in codes else "is not there"
        wrong.append(f"`{codes[0]}` is first and `{first}` {at}")
    rest = codes[1:]
    wrong += [f"`{code}` does not come behind it" for code in options.get("also", []) if code not in rest]
    wrong += [f"`{code}` is there" for code in options.get("lacks", []) if code in codes]
    severities = {each.code: each.severity for each in found}
    for code in options.get("notes", []):
        if severities.get(code) != "note":
            wrong.append(f"`{code}` is {severities.get(code, 'not there')}, not a note")
    if options.get("alone") and rest:
        wrong.append(f"more is there: {', '.join(rest)}")
    wanted = options.get("status", int(any(each.severity == "error" for each in found)))
    if status != wanted:
        wrong.append(f"status {status}, not {wanted}")
    return wrong


def remedy(found: list[Finding]) -> str:
    """Returns the command that the first finding names; empty if it names none."""
    return found[0].commands[0] if found and found[0].commands else ""


def answered(command: str, init: list[str]) -> str:
    """Returns the command with the answers to what it would ask on a terminal."""
    answers = {**ANSWERS, "init": shlex.join(init)}
    verbs = "|".join(answers)
    return re.sub(rf"\bmailfix ({verbs})\b", lambda found: f"{found[0]} {answers[found[1]]}", command)

"""The matrix: worlds of one pattern, one for each kind of host, chroot letter and compatibility level.

Owns how `matrix.toml` becomes worlds; in each of them every wording meets every
stage at every kind of recipient, as each receiver domain (of Gmail's own, each
recipient) has a wording and a stage of its own. Must not know what a world means.
"""

import copy
import itertools
from typing import Any

PREFIX = "matrix/"

# What stands in the pattern for what differs.
CELLS, CONFIG, ARGUMENTS = "@CELLS@", "@CONFIG@", "@ARGUMENTS@"


def names(pattern: dict[str, Any]) -> list[str]:
    """Returns the name of every world of the matrix."""
    return list(_axes(pattern))


def expand(pattern: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns the tables of one world."""
    profile, chroot, level = _axes(pattern)[name]
    settings = pattern["profiles"][profile]
    world = copy.deepcopy(pattern["world"])
    sender = world["sender"] = _joined(world.get("sender", {}), settings["sender"])
    config = sender.get("config_directory", "/etc/postfix")
    # Before level 1 a dash means chrooted (master(5)).
    is_chrooted = chroot == "y" or (chroot == "-" and level == "0")
    sender.update(chroot=chroot, filled_jail=is_chrooted)
    sender["parameters"] = {**sender.get("parameters", {}), "compatibility_level": level}
    cells = _cells(pattern)
    for recipient, cell in cells.items():
        behaviour = {"generation": cell["generation"], "stage": cell["stage"]}
        if cell["mx"]:
            world.setdefault("domains", {})[recipient.rpartition("@")[2]] = {"mx": cell["mx"], **behaviour}
        else:
            world.setdefault("recipients", {})[recipient] = behaviour
    for step in world["step"]:
        if outcome := step.get("send", {}).pop(CELLS, None):
            step["send"].update(dict.fromkeys(cells, outcome))
            if outcome == "bounced":
                step["says"] = {**step.get("says", {}), **{each: cell["says"] for each, cell in cells.items()}}
    world = _filled(world, {CONFIG: config}, {ARGUMENTS: settings["arguments"]})
    return {
        **world,
        "title": f"{len(cells)} cells on {settings['title']}, chroot {chroot}, level {level}",
        "ci": name.removeprefix(PREFIX) in pattern["ci"],
    }


def _axes(pattern: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Returns profile, chroot letter and compatibility level by name."""
    axes = itertools.product(pattern["profiles"], pattern["chroot"].items(), pattern["level"])
    return {f"{PREFIX}{profile}-{word}-{level}": (profile, letter, level) for profile, (word, letter), level in axes}


def _cells(pattern: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns wording, stage, mail hosts and the words of the refusal by recipient."""
    cells = {}
    axes = itertools.product(
        pattern["recipients"].values(), pattern["generations"].items(), pattern["stages"].items()
    )
    for kind, (generation, wording), (stage, command) in axes:
        recipient = kind["address"].format(generation=generation, stage=stage)
        cells[recipient] = {
            "generation": generation,
            "stage": stage,
            "mx": kind.get("mx"),
            "says": rf"{wording}.* \(in reply to {command} command",
        }
    return cells


def _joined(stock: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lays tables over others, and their keys over each other's."""
    return {**stock, **own, **{key: {**stock[key], **own[key]} for key in own if isinstance(stock.get(key), dict)}}


def _filled(value: Any, texts: dict[str, str], words: dict[str, list[str]]) -> Any:
    """Puts texts into every text, and words in the place of single words."""
    if isinstance(value, str):
        for mark, text in texts.items():
            value = value.replace(mark, text)
        return value
    if isinstance(value, list):
        spread = [word for item in value for word in (words[item] if str(item) in words else [item])]
        return [_filled(item, texts, words) for item in spread]
    if isinstance(value, dict):
        return {_filled(key, texts, words): _filled(item, texts, words) for key, item in value.items()}
    return value

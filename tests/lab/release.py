"""Releases of Debian: which system, with which Postfix, the sender has underneath.

Owns where their trees lie and when the running system stands in for one. Must
not know what is done with it.
"""

import os
import platform
import shutil
from pathlib import Path

from .cage import PATH, CannotRun

# Oldest first, as `script/roots` makes them.
RELEASES = ["bullseye", "bookworm", "trixie", "sid"]

# Those whose Postfix is older than 3.6, before which compatibility levels are plain numbers.
PLAIN_LEVELS = ["bullseye"]

# The release that a world which names none is run on, and those that a world which names
# some is run on, unless others are asked for.
USUAL = "bookworm"
OFTEN = ["bookworm", "trixie"]

ROOTS = Path(os.environ.get("MAILFIX_ROOTS") or Path(__file__).parents[2] / "target/roots")


def usual(named: list[str]) -> list[str]:
    """Returns the releases to run a world on that names these, when nobody asks for others."""
    return [release for release in OFTEN if release in named] or named if named else [USUAL]


def underneath(release: str, untouched: bool) -> Path:
    """Returns the root of a system of this release.

    The running system will do where it is that release, as what its own mail
    set-up has in it is covered up; `untouched` is for who needs Postfix's
    files as the package's set-up left them.
    """
    if not untouched and release == _running() and shutil.which("postfix", path=PATH):
        return Path("/")
    tree = ROOTS / release / "tree"
    if not tree.is_dir():
        raise CannotRun(f"the tree of {release}: `script/roots {release}` makes it")
    return tree


def _running() -> str:
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""

"""Waiting: for a condition, with a deadline, never for a fixed time."""

import time
from collections.abc import Callable
from typing import TypeVar

from .cage import LabError

T = TypeVar("T")

# How often a condition that cannot announce itself is looked at.
LOOK_SECONDS = 0.02


def until(what: str, condition: Callable[[], T], seconds: float = 20) -> T:
    """Returns the first true value of `condition`, or fails naming `what` was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s for {what}")
        time.sleep(LOOK_SECONDS)

"""Waiting for a condition: time never decides a test, a deadline only ends a hopeless one."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

#: Far more than anything here takes on a busy machine.
DEADLINE = 60.0
_PAUSE = 0.02


def eventually(condition: Callable[[], Value], what: str = "", deadline: float = DEADLINE) -> Value:
    """Ask until the answer is true.

    Args:
        condition: Asked again and again; an AssertionError of its own counts as "not yet".
        what: What is waited for, for the message.
        deadline: How long at most (s).

    Returns:
        The true answer.

    Raises:
        AssertionError: It never was.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            if answer := condition():
                return answer
            reason = repr(answer)
        except AssertionError as error:
            reason = str(error)
        if time.monotonic() > end:
            message = f"after {deadline:.0f} s still not: {what or condition}: {reason}"
            raise AssertionError(message)
        time.sleep(_PAUSE)

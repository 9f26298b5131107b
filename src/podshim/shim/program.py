"""The process as a program: what it was executed as, its engine, and what it writes for its caller.

Both contracts' binaries use it. `start` runs this module.
"""

# ruff: noqa: SIM105 - contextlib is too heavy for the start path

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from podshim.engine import Engine

    E = TypeVar("E", bound=Engine)

STDOUT = 1
STDERR = 2


def own_program(original: "Sequence[str]", argument_count: int) -> "list[str]":
    """How this program was executed, without its arguments.

    It works for a console script, `python -m module`, `python script.py` and a frozen binary, so
    that a list of processes shows the server under the shim's own name.

    Args:
        original: The interpreter's whole command line (`sys.orig_argv`).
        argument_count: How many of its last words were the program's arguments.
    """
    words = list(original[: len(original) - argument_count])
    return [sys.executable or words[0], *words[1:]]


def load(engine: "type[E] | str") -> "type[E]":
    """The engine's class, imported if it is only named.

    Args:
        engine: A class, or `module:Class`.

    Raises:
        ImportError, AttributeError: There is no such class.
    """
    if not isinstance(engine, str):
        return engine
    from importlib import import_module

    module, _, name = engine.partition(":")
    found: type[E] = getattr(import_module(module), name)
    return found


def write_all(fd: int, content: bytes) -> None:
    """Write an action's answer, all of it and nothing else.

    Raises:
        OSError: Nobody takes it.
    """
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def complain(text: str, fd: int = STDERR) -> None:
    """Write for people; if nobody takes it, there is nobody to tell."""
    try:
        write_all(fd, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass

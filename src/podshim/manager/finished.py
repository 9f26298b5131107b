"""How a program ended."""

from dataclasses import dataclass

#: No helper of a shim has more to say (bytes).
MAX_OUTPUT = 16 << 20


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it printed.

    Args:
        status: Its exit status; on Linux, minus the signal that killed it.
        stdout: What it wrote to standard output (and standard error, if they were merged).
        stderr: What it wrote to standard error, if they were not.
    """

    status: int
    stdout: bytes
    stderr: bytes

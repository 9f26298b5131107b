"""The binary: from the process's arguments to its exit status.

Theory of operation. containerd executes the program for a moment (`start`, `delete`, `-info`) or
`start` executes it to stay (`serve`). Each action is a module, imported when it is asked for, so
that `start` pays for nothing else. SIGTERM is no reason for `start` or `delete` to stop half way:
they end soon enough by themselves. What an action raises becomes `<program>: <error>` on standard
error and status 1; standard output carries an action's answer alone, written in one piece.
"""

import _signal  # type: ignore[import-not-found]  # not in typeshed; `signal` makes enums
import os
import sys

from podshim.shim import command
from podshim.shim.program import STDERR, STDOUT, complain, load, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from podshim.engine import Engine


def main(engine: "type[Engine] | str", argv: "list[str] | None" = None) -> "NoReturn":
    """Be a containerd shim: do what the command line asks for, then exit.

    Let nothing be written before, no warning of a library either: containerd takes all that a
    `start` writes, on standard output or error, for its answer.

    Args:
        engine: What runs containers: a class, or `module:Class`, imported only when needed.
        argv: The command line, the program's name first; the process's own without it.

    Raises:
        SystemExit: Always, with the exit status.
    """
    words = sys.argv if argv is None else argv
    program = os.path.basename(words[0])
    try:
        asked = command.parse(words[1:], program)
    except command.UsageError as error:
        complain(f"{error}" if error.status == 2 else f"{program}: {error}")
        raise SystemExit(error.status) from None
    try:
        status = _act(asked, engine, program)
    except KeyboardInterrupt:
        status = 130
    except Exception as error:  # noqa: BLE001 - the process's edge: whatever it is, it is told
        serving = asked.action == command.SERVE  # its `start` will say the name
        complain(_describe(error) if serving else f"{program}: {_describe(error)}")
        status = 1
    raise SystemExit(status)


def _act(asked: command.Command, engine: "type[Engine] | str", program: str) -> int:
    """Do one action; return the exit status."""
    if asked.action in {command.START, command.DELETE}:
        _signal.signal(_signal.SIGTERM, _go_on)
    if asked.action == command.START:
        from podshim.shim.dialects import MAX_INPUT, read
        from podshim.shim.start import start

        data = _standard_input(MAX_INPUT + 1)
        start(asked, read(data, os.environ, asked), os.environ, _answer)
    elif asked.action == command.SERVE:
        from podshim.shim.serve import run

        return run(load(engine), asked, os.environ, program)
    elif asked.action == command.DELETE:
        from podshim.shim.delete import delete

        answer = _reserve_stdout()
        write_all(answer, delete(lambda: load(engine), asked, complain))
    elif asked.action == command.INFO:
        from podshim.shim.info import info

        answer = _reserve_stdout()
        write_all(answer, info(load(engine), _standard_input(command.MAX_OPTIONS)))
    elif asked.action == command.VERSION:
        from podshim.shim.info import version

        _answer(version(program).encode())
    else:
        complain(command.usage(program))
    return 0


def _go_on(_number: int, _frame: "FrameType | None") -> None:
    """Do nothing; it is a handler because children would inherit that a signal is ignored."""


def _reserve_stdout() -> int:
    """Keep standard output for the answer; what an engine writes there goes to standard error.

    Returns:
        The descriptor that the answer goes to.
    """
    answer = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    return answer


def _answer(content: bytes) -> None:
    write_all(STDOUT, content)


def _describe(error: Exception) -> str:
    """An error's text: what users can act on as it is, what nobody foresaw with its origin."""
    if isinstance(error, OSError):
        where = f" {os.fsdecode(error.filename)}" if error.filename is not None else ""
        return f"{error.strerror or error}{':' if where else ''}{where}"
    if type(error).__module__.startswith("podshim."):
        return str(error)
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()


def _standard_input(limit: int) -> bytes:
    """What containerd sent, at most `limit` bytes; nothing from a terminal or a closed one."""
    try:
        if os.isatty(0):
            return b""
        parts = []
        while limit > 0 and (part := os.read(0, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    except OSError:
        return b""

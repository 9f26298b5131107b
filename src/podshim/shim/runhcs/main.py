"""The binary of Windows' contract: from the process's arguments to its exit status.

Theory of operation. containerd executes the program for a moment (`start`, `delete`) or `start`
executes it to stay (`serve`). Each command is a module, imported when it is asked for, so that
`start` pays for nothing else. What a command raises becomes a line on standard error and status 1;
standard output carries a command's answer alone, written in one piece.
"""

import os
import sys

from podshim.shim.program import STDERR, STDOUT, complain, load, write_all
from podshim.shim.runhcs import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from podshim.task.runhcs.host import WindowsEngine


def main(engine: "type[WindowsEngine] | str", argv: "list[str] | None" = None) -> "NoReturn":
    """Be a containerd shim for Windows: do what the command line asks for, then exit.

    Args:
        engine: What runs containers: a class, or `module:Class`, imported only when needed.
        argv: The command line, the program's name first; the process's own without it.

    Raises:
        SystemExit: Always, with the exit status.
    """
    words = sys.argv if argv is None else argv
    try:
        asked = command.parse(words[1:], os.path.basename(words[0]))
    except command.Answer as answer:
        complain(answer.out, STDOUT)
        complain(answer.error, STDERR)
        raise SystemExit(answer.status) from None
    try:
        status = _act(asked, engine)
    except KeyboardInterrupt:
        status = 130
    except Exception as error:  # noqa: BLE001 - the process's edge: whatever it is, it is told
        complain(f"{_describe(error)}\n")
        status = 1
    raise SystemExit(status)


def _act(asked: command.Command, engine: "type[WindowsEngine] | str") -> int:
    """Carry out a command; return the exit status."""
    if os.name != "nt":
        complain(f"{command.NAME} needs Windows: it runs Windows containers\n")
        return 1
    if asked.action == command.START:
        from podshim.shim.runhcs.start import start

        start(asked, _answer)
        return 0
    if asked.action == command.DELETE:
        from podshim.shim.runhcs.delete import delete

        _answer(delete(lambda: load(engine), asked, complain))
        return 0
    from podshim.shim.runhcs.serve import run

    status = run(load(engine), asked, os.environ)
    # A server has nothing to tidy up any more: what it held ends with the process, at once.
    os._exit(status)


def _answer(content: bytes) -> None:
    write_all(STDOUT, content)


def _describe(error: Exception) -> str:
    """An error's text: what users can act on as it is, what nobody foresaw with its origin."""
    if isinstance(error, OSError):
        from podshim.win32.binding import text_of

        return text_of(error)
    if type(error).__module__.startswith("podshim."):
        return str(error)
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()

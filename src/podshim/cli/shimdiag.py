"""`shimdiag`: looks into running Windows shims, also stuck ones.

Theory of operation. Every shim serves `ShimDiag` beside its tasks. A command finds the shim's pipe
by name (`shimnames`), calls one method and prints the answer, in the form that operators know from
Microsoft's tool of this name. What goes wrong is one line on standard error and status 1; `exec`
ends with the status of what it ran.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from podshim.api import runhcs_diag_pb2 as pb
from podshim.api.runhcs_diag_ttrpc import ShimDiagStub
from podshim.cli import shimnames
from podshim.cli.hostexec import run_in_host
from podshim.cli.shimnames import ShimNameError
from podshim.transport import pipes
from podshim.ttrpc.status import ProtocolError, StatusError
from podshim.win32.binding import text_of
from podshim.win32.listing import names_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from podshim.ttrpc import Client

#: How long connecting, and a call that does not run anything, may take (s).
CONNECT_TIMEOUT = 2.0
CALL_TIMEOUT = 60.0

_TAB = 8


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line as the rest of the tool does, with status 1."""

    def error(self, message: str) -> NoReturn:
        self.exit(1, f"shimdiag: invalid command usage: {message}\n{self.format_usage()}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The words after the program's name; the process's own without it.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(argv)
    try:
        return asyncio.run(_run(options))
    except StatusError as error:
        return _fail(error.message)
    except OSError as error:
        return _fail(text_of(error))
    except (ShimNameError, ProtocolError) as error:
        return _fail(str(error) or type(error).__name__)
    except KeyboardInterrupt:
        return 130


def _fail(text: str) -> int:
    print(f"shimdiag: {text}", file=sys.stderr)
    return 1


def _parser() -> _Parser:
    parser = _Parser(
        prog="shimdiag",
        description="Looks into running containerd-shim-runhcs-v1 shims.",
        epilog="SHIM is a shim's name, <namespace>-<id>, or its beginning if that means one shim.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    one = commands.add_parser("list", help="print the names of all shims")
    one.add_argument("--pids", action="store_true", help="with their process ids")
    one = commands.add_parser("exec", help="run a command in a shim's hosting system")
    one.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    one.add_argument("shim", metavar="SHIM")
    one.add_argument("args", nargs=argparse.REMAINDER, metavar="COMMAND...")
    one = commands.add_parser("stacks", help="print the stacks of a shim, and of its guest")
    one.add_argument("shim", metavar="SHIM")
    one = commands.add_parser("tasks", help="print the tasks of a shim")
    one.add_argument("--execs", action="store_true", help="with their execs")
    one.add_argument("shim", metavar="SHIM")
    one = commands.add_parser("share", help="share a folder of the host into a shim's utility VM")
    one.add_argument("--readonly", "--ro", action="store_true", help="not writable")
    one.add_argument("shim", metavar="SHIM")
    one.add_argument("host_path", metavar="HOST_PATH")
    one.add_argument("uvm_path", metavar="UVM_PATH")
    return parser


async def _run(options: argparse.Namespace) -> int:
    if options.command == "list":
        await _list(pids=options.pids)
        return 0
    if options.command == "exec" and not options.args:
        raise ShimNameError("invalid command usage: exec wants a command")
    name = find(options.shim)
    async with await _connect(name) as client:
        stub = ShimDiagStub(client)
        if options.command == "exec":
            return await run_in_host(stub, options.args, terminal=options.tty)
        if options.command == "stacks":
            stacks = await stub.diag_stacks(pb.StacksRequest(), timeout=CALL_TIMEOUT)
            print(describe_stacks(stacks), end="")
        elif options.command == "tasks":
            request = pb.TasksRequest(execs=options.execs)
            answer = await stub.diag_tasks(request, timeout=CALL_TIMEOUT)
            print(describe_tasks(answer), end="")
        else:
            await _share(stub, name, options)
    return 0


def find(given: str) -> str:
    """The shim that the user means.

    Where the system can't list its pipes, the name must be given in full.

    Raises:
        ShimNameError: None, or several, are meant.
        OSError: The pipes can't be listed for another reason.
    """
    shimnames.check(given)
    present = names_in(shimnames.PIPE_ROOT)
    return given if present is None else shimnames.choose(shimnames.shims(present), given)


async def _connect(name: str) -> Client:
    return await pipes.connect(shimnames.address(name), timeout=CONNECT_TIMEOUT)


async def _list(*, pids: bool) -> None:
    present = names_in(shimnames.PIPE_ROOT)
    if present is None:
        raise ShimNameError("this system does not list its pipes")
    names = shimnames.shims(present)
    if not pids:
        print("".join(f"{name}\n" for name in names), end="")
        return
    rows = [("Shim", "Pid")]
    for name in names:
        async with await _connect(name) as client:
            answer = await ShimDiagStub(client).diag_pid(pb.PidRequest(), timeout=CALL_TIMEOUT)
            rows.append((name, str(answer.pid)))
    print(table(rows), end="")


async def _share(stub: ShimDiagStub, name: str, options: argparse.Namespace) -> None:
    request = pb.ShareRequest(
        host_path=options.host_path, uvm_path=options.uvm_path, read_only=options.readonly
    )
    try:
        await stub.diag_share(request, timeout=CALL_TIMEOUT)
    except StatusError as error:
        raise ShimNameError(
            f"failed to share directory {options.host_path} into UVM: {error.message}"
        ) from error
    print(f"Shared {options.host_path} into {name} at {options.uvm_path}")


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of two columns, the second aligned by tabs of eight."""
    width = max(-(-(len(first) + 1) // _TAB) * _TAB for first, _ in rows)
    lines = []
    for first, second in rows:
        tabs = -(-(width - len(first) - 1) // _TAB)
        lines.append(first + " " + "\t" * tabs + f" {second}\n")
    return "".join(lines)


def describe_stacks(stacks: pb.StacksResponse) -> str:
    """The stacks of a shim, then those of its guest if it told any."""
    text = f"Stacks:\n {stacks.stacks}\n"
    if stacks.guest_stacks:
        text += f"Guest Stacks:\n {stacks.guest_stacks}\n"
    return text


def describe_tasks(answer: pb.TasksResponse) -> str:
    """A task a line, and below it its execs if they were told."""
    parts = []
    for task in answer.tasks:
        parts.append(f"{task.id}\n")
        if task.execs:
            execs = "".join(f"\t{one.state}: {one.id}\n" for one in task.execs)
            parts.append(f"|\n|----> {execs}\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.exit(main())

"""The command ``tests/windows/wine``: any Windows command, with standard streams of any kind.

A Windows program under Wine can use pipes only as standard streams, so whatever else this command
was given (a terminal, a file, nothing) is pumped through pipes by threads. An input or output that
already is a pipe is handed on as it is: then end of file, back pressure and a broken pipe mean
what they always do.
"""

import argparse
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from types import FrameType

from windows.winebox.box import DEFAULT_LIMIT, Box, open_box
from windows.winebox.recipe import UnavailableError
from windows.winebox.server import stop
from windows.winebox.streams import Pump, write_all

TIMED_OUT = 124  # as timeout(1)
UNAVAILABLE = 125


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status to end with."""
    options = _parser().parse_args(argv)
    _fill_closed()
    try:
        box = open_box()
        if options.stop:
            stop(box.at)
        if options.where:
            print(box.at.box)
        if not options.command:
            return 0
        return _run(Box(box.at, f"{box.mark}.{secrets.token_hex(4)}"), options)
    except UnavailableError as err:
        print(f"wine: no Windows environment here: {err}", file=sys.stderr)
        return UNAVAILABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wine",
        description="Run a Windows command in a prepared Wine prefix with a Windows Python.",
        epilog="Exit status: the command's lowest 8 bits; 124 after the time limit; 125 where no "
        "Windows environment can be had; 128 + n after signal n.",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=float(os.environ.get("PODSHIM_WINE_TIMEOUT", DEFAULT_LIMIT)),
        metavar="SECONDS",
        help="end the command and all its descendants after this time (default: %(default)s)",
    )
    parser.add_argument("--stop", action="store_true", help="end the wineserver and all programs")
    parser.add_argument("--where", action="store_true", help="print the environment's folder")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="nothing: only set up")
    return parser


def _run(box: Box, options: argparse.Namespace) -> int:
    deadline = time.monotonic() + options.timeout

    def end(number: int, _frame: FrameType | None) -> None:
        box.end_all()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    process = subprocess.Popen(
        [*_bound(), *box.command(options.command)],
        stdin=_as_it_is(0),
        stdout=_as_it_is(1),
        stderr=subprocess.PIPE,  # descendants keep it open, so never the caller's own
        env=box.environment(),
        start_new_session=True,
    )
    if feed := process.stdin:
        Pump(0, partial(write_all, feed.fileno()), done=feed.close)
    output = None
    if process.stdout:
        output = Pump(process.stdout.fileno(), partial(write_all, 1), done=partial(os.close, 1))
    assert process.stderr
    errors = Pump(process.stderr.fileno(), partial(write_all, 2))
    try:
        status = process.wait(options.timeout)
        if output:
            output.join(deadline - time.monotonic())
    except subprocess.TimeoutExpired:
        box.end_all()
        print(f"wine: ended after {options.timeout:g} s", file=sys.stderr)
        status = TIMED_OUT
    errors.finish(deadline - time.monotonic())
    # Leave at once: the input pump may sit in a read that nothing will ever end.
    os._exit(status if status >= 0 else 128 - status)


def _bound() -> list[str]:
    """The words before a command that make it end when this process is killed outright."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL"] if found else []


def _fill_closed() -> None:
    """Open whatever standard descriptor is closed, lest a pipe of ours gets its number."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.dup(descriptor)
    os.close(descriptor)


def _as_it_is(number: int) -> int:
    """The descriptor itself if it is a pipe, else the order to make one."""
    return number if stat.S_ISFIFO(os.fstat(number).st_mode) else subprocess.PIPE

"""Runs a demo as somebody at a terminal does: to its end, or until an interrupt."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def run(folder: Path, limit: float) -> tuple[int, str]:
    """Run the demo in ``folder`` to its end; its exit status and output.

    Raises:
        subprocess.TimeoutExpired: It was not over after ``limit`` seconds.
    """
    with _started(folder) as demo:
        output, _ = demo.communicate(timeout=limit)
    return demo.returncode, output


def interrupt(folder: Path, place: str, number: signal.Signals) -> tuple[int, str]:
    """Send a signal when the demo prints a line with ``place``; its exit status and output."""
    output = ""
    with _started(folder) as demo:
        assert demo.stdout
        for line in demo.stdout:
            output += line
            if place in line:
                os.killpg(demo.pid, number)  # as a terminal does
                break
        output += demo.stdout.read()
    return demo.returncode, output


@contextlib.contextmanager
def _started(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as demo:
        try:
            yield demo
        except BaseException:  # such as a test's time limit: nobody waits for it any more
            os.killpg(demo.pid, signal.SIGKILL)
            raise

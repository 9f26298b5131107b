"""Run the whole suite.

The tests of Windows programs mostly wait for such programs to start: they run beside all others,
in a pytest and a private world of their own, and what they said is printed when both are over.

A suite that hangs says where: after its limit both halves are asked to end, whose wardens (see
`tests/support/private.py`) tell what ran and have pytest show where it stood.

usage: .venv/bin/python scripts/run_tests.py [PYTEST OPTION...]
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest"]
WINDOWS = "tests/windows"
#: How long the suite may take (min); it usually takes half of it or less.
LIMIT = float(os.environ.get("PODSHIM_TESTS_LIMIT", "40"))
#: How long a half that is asked to end may take to tell what it did (s).
LAST_WORDS = 30.0
TIMED_OUT = 124  # as timeout(1)


def main(options: list[str]) -> int:
    """Run both; the exit status is of the first that failed, or 0; 124 if they took too long."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryFile() as said:
        beside = subprocess.Popen(
            [*PYTEST, "-o", "cache_dir=.pytest_cache/windows", *options, WINDOWS],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        others = subprocess.Popen([*PYTEST, *options, f"--ignore={WINDOWS}"], cwd=root)
        halves = [others, beside]

        def end(*_: object) -> None:
            for half in halves:
                half.terminate()

        # From a terminal both get the interrupt too; a request to end comes here alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, end)
        late = not _over(halves, LIMIT * 60)
        if late:
            end()
            _over(halves, LAST_WORDS)
            for half in halves:
                half.kill()  # its private world goes with it
        codes = [half.wait() for half in halves]
        said.seek(0)
        sys.stdout.buffer.write(b"==> Meanwhile, the tests of Windows programs:\n" + said.read())
    if late:
        sys.stderr.write(f"error: the tests were not over after {LIMIT:g} minutes\n")
        return TIMED_OUT
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


def _over(halves: list[subprocess.Popen[bytes]], limit: float) -> bool:
    """Wait for all to end, at most ``limit`` seconds; whether they have."""
    deadline = time.monotonic() + limit
    for half in halves:
        with contextlib.suppress(subprocess.TimeoutExpired):
            half.wait(max(0.0, deadline - time.monotonic()))
    return all(half.poll() is not None for half in halves)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

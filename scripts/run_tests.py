"""Run the whole suite.

The tests of Windows programs mostly wait for such programs to start: they run beside all others,
in a pytest and a private world of their own, and what they said is printed when both are over.

usage: .venv/bin/python scripts/run_tests.py [PYTEST OPTION...]
"""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PYTEST = [sys.executable, "-m", "pytest"]
WINDOWS = "tests/windows"


def main(options: list[str]) -> int:
    """Run both; the exit status is of the first that failed, or 0."""
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

        def end(*_: object) -> None:
            others.terminate()
            beside.terminate()

        # From a terminal both get the interrupt too; a request to end comes here alone.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, end)
        codes = [others.wait(), beside.wait()]
        said.seek(0)
        sys.stdout.buffer.write(b"==> Meanwhile, the tests of Windows programs:\n" + said.read())
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make demo-windows`: a pod of Windows containers on Linux, for somebody who wants to see it run.

This half runs on Linux: it prepares a Windows for the demo alone (Wine, with a Windows Python and
the stand-in for the Host Compute Service), tells `story` in it, and removes it again.
"""

import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests")]

from windows.winebox import Box, UnavailableError, open_box, worlds  # noqa: E402 - found by the line above

#: How long the story may take (s).
PATIENCE = 180.0


def main() -> int:
    """Tell the story; returns an exit status."""
    os.environ[worlds.WORLD] = world = f"demo-{secrets.token_hex(4)}"
    try:
        box = open_box(world)
    except UnavailableError as error:
        print(f"No Windows environment here: {error}", file=sys.stderr)
        return 1
    try:
        with box.session() as session:
            return _tell(session)
    finally:
        box.remove()


def _tell(box: Box) -> int:
    words = ["python", "-X", "utf8", "-W", "error", box.windows_path(HERE / "story.py")]
    variables = {"COLUMNS": os.environ.get("COLUMNS", "100")}
    with box.start(words, env=variables, cwd=HERE) as story:
        assert story.stdin
        assert story.stdout
        assert story.stderr
        story.stdin.close()
        late = threading.Timer(PATIENCE, box.end_all)
        late.start()
        # Descendants hold the error stream, and nobody else may wait for its end.
        errors = threading.Thread(target=_copy, args=(story.stderr.fileno(), 2), daemon=True)
        errors.start()
        try:
            _copy(story.stdout.fileno(), 1)
            return story.wait(PATIENCE)
        finally:
            late.cancel()
            box.end_all()
            errors.join(PATIENCE)


def _copy(source: int, target: int) -> None:
    while data := os.read(source, 1 << 16):
        os.write(target, data.replace(b"\r\n", b"\n"))


def _interrupted(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupted)
    sys.exit(main())

"""The task service of the Windows shim does on Windows what `tests/runhcs` shows on Linux.

Each test here is one there, over an engine that is a fake and connections that are not.
"""

from pathlib import Path

from windows.winebox.cases import Outcome

_FOLDER = Path(__file__).parents[1] / "runhcs"
CASES = [
    _FOLDER / f"test_{name}.py"
    for name in (
        "create_checks",
        "diag",
        "event_messages",
        "execs",
        "kills",
        "lookups",
        "pods",
        "pretended_sandbox",
        "races",
        "services",
        "slot_life",
        "standalone",
        "states",
        "tables",
        "updates",
        "vms",
        "waits",
    )
]


def test_case(outcome: Outcome) -> None:
    outcome.check()

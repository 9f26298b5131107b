"""ttrpc behaves over named pipes as over sockets: its own tests, with pipes below, on Windows."""

from pathlib import Path

from windows.winebox.cases import Outcome

CASES = [
    Path(__file__).parents[1] / "ttrpc" / name
    for name in ("test_calls.py", "test_connections.py", "test_limits.py")
]
#: Fills a connection with a call that only sockets have.
WITHOUT = ["test_limits.py::test_refusals_that_are_not_read_do_not_pile_up"]


def test_case(outcome: Outcome) -> None:
    outcome.check()

"""ttrpc behaves over named pipes as over sockets: its own tests, with pipes below, on Windows."""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

FILES = [
    Path(__file__).parents[1] / "ttrpc" / name
    for name in ("test_calls.py", "test_connections.py", "test_limits.py")
]
#: Fills a connection with a call that only sockets have.
SOCKETS_ONLY = "test_refusals_that_are_not_read_do_not_pile_up"

pytestmark = pytest.mark.timeout(900)  # the first one may make the environment and runs all cases


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    folder = tmp_path_factory.mktemp("ttrpc")
    with machine.session() as box:
        return cases.run(box, FILES, folder, without=[f"test_limits.py::{SOCKETS_ONLY}"])


@pytest.mark.parametrize("name", [name for name in cases.names(FILES) if name != SOCKETS_ONLY])
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.verdict == "skipped":
        pytest.skip(outcome.text)
    assert outcome.verdict == "passed", outcome.text

"""The task service of the Windows shim does on Windows what `tests/runhcs` shows on Linux.

Each test here is one there, over an engine that is a fake and connections that are not.
"""

from pathlib import Path

import pytest

from windows.winebox import Box, cases

_FOLDER = Path(__file__).parents[1] / "runhcs"
FILES = [
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

pytestmark = pytest.mark.timeout(900)  # the first one runs all of them


@pytest.fixture(scope="module")
def outcomes(machine: Box, tmp_path_factory: pytest.TempPathFactory) -> dict[str, cases.Outcome]:
    with machine.session() as box:
        return cases.run(box, FILES, tmp_path_factory.mktemp("service"))


@pytest.mark.parametrize("name", sorted(set(cases.names(FILES))))
def test_case(outcomes: dict[str, cases.Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.verdict == "passed", outcome.text

"""What tests on Windows programs share: the box, or a skip that says why there is none.

A test file with a list `CASES` of pytest files has them run on Windows, in one go, and its tests
take what came of them one by one: `def test_case(outcome): outcome.check()`. `WITHOUT` in it names
what is left out (`file.py::test`), a fixture `variables` of its own what the cases are told.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from windows.winebox import Box, UnavailableError, cases, open_box, original, worlds
from windows.winebox.box import incidents

HERE = Path(__file__).parent
#: How long a test may take (s): the first of a file runs all its cases, if need be twice.
LIMIT = 1100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder their limit."""
    for item in items:
        if item.path.is_relative_to(HERE) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def machine() -> Iterator[Box]:
    """A Windows environment for this test run alone; tests that want it are skipped without one."""
    os.environ[worlds.WORLD] = world = f"tests-{secrets.token_hex(4)}"
    try:
        box = open_box(world)
        yield box
        box.remove()
    except UnavailableError as err:
        pytest.skip(f"no Windows environment here: {err}")
    finally:
        del os.environ[worlds.WORLD]


@pytest.fixture
def box(machine: Box) -> Iterator[Box]:
    """The environment for one test: what the test leaves running is ended after it."""
    with machine.session() as session:
        yield session


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what was wrong with Wine and was mended."""
    for incident in incidents:
        terminalreporter.write_line(incident)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each case for what wants an `outcome`."""
    if "outcome" in metafunc.fixturenames:
        left_out = {each.rpartition("::")[2] for each in _without(metafunc.module)}
        names = dict.fromkeys(cases.names(metafunc.module.CASES))
        chosen = [name for name in names if name not in left_out]
        metafunc.parametrize("outcome", chosen, indirect=True)


@pytest.fixture(scope="module")
def variables() -> dict[str, str]:
    """What the cases of a file are told: nothing, unless the file says otherwise."""
    return {}


@pytest.fixture(scope="session")
def original_shim(machine: Box) -> dict[str, str]:
    """Where cases find Microsoft's shim; tests that want it are skipped where it can't be had."""
    try:
        shim = original.executable(machine.at)
    except UnavailableError as err:
        pytest.skip(f"no original shim here: {err}")
    return {"PODSHIM_ORIGINAL_SHIM": machine.windows_path(shim)}


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest,
    machine: Box,
    variables: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, cases.Outcome]:
    """What came of the cases of a file."""
    module: ModuleType = request.module
    folder = tmp_path_factory.mktemp("cases")
    with machine.session() as box:
        return cases.run(box, module.CASES, folder, env=variables, without=_without(module))


@pytest.fixture
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, cases.Outcome]) -> cases.Outcome:
    """What came of one case."""
    return outcomes[request.param]


def _without(module: ModuleType) -> Sequence[str]:
    without: Sequence[str] = getattr(module, "WITHOUT", ())
    return without

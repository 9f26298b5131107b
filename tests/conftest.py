"""Every test runs in a private world (see `support.private`), or without root as it is.

Tests that need the private world take the `private_world` fixture, directly or by one that they
build on; without root they are skipped, saying so. `--everything` (as `make test` runs it) makes
a skip for want of root or software a failure.
"""

from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does: no test fails for that.
settings.register_profile("podshim", deadline=None)
settings.load_profile("podshim")

#: Why there is no private world; empty in one.
_no_world = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--everything",
        action="store_true",
        help="fail, instead of skipping, where root or software is lacking",
    )
    parser.addoption(
        "--containerd",
        default="",
        metavar="VERSION",
        help="run the end-to-end tests with this containerd (see scripts/get-containerd)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    try:
        import support.private as private
    except ImportError as error:  # fcntl: this is Windows
        config.stash[_no_world] = str(error)
        return
    looking = config.option.collectonly or config.option.help
    config.stash[_no_world] = "only collecting" if looking else private.enter()


@pytest.fixture(scope="session")
def lacking(pytestconfig: pytest.Config) -> Callable[[str], NoReturn]:
    """End a test that can't run here: called with what is lacking."""
    everything = bool(pytestconfig.getoption("--everything"))

    def end(reason: str) -> NoReturn:
        if everything:
            pytest.fail(f"lacking: {reason}", pytrace=False)
        pytest.skip(reason)

    return end


@pytest.fixture(scope="session")
def private_world(pytestconfig: pytest.Config, lacking: Callable[[str], NoReturn]) -> None:
    """Mount, network and pid namespaces of the tests' own, as root."""
    if reason := pytestconfig.stash[_no_world]:
        lacking(reason)
